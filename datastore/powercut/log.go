package powercut

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// sector is what a disk writes as a whole, in bytes.
const sector = 512

// kind is what an op does.
type kind int

const (
	write kind = iota
	truncate
	sync
	create
	rename
	unlink
	mkdir
	said
)

// op is one thing that was asked of the disk, or said.
type op struct {
	kind   kind
	path   string
	to     string // of a rename
	file   uint64
	offset int64 // of a write; of a truncate the size
	data   []byte
	covers int // a sync: what lies before it in the log
}

// Log is what a process asked of the disk and said, in order.
type Log struct{ ops []op }

func (l *Log) add(o op) { l.ops = append(l.ops, o) }

// Len is how many moments there are to cut the power at: After takes 0 to Len.
func (l Log) Len() int { return len(l.ops) }

// Moments are those right after a change of names, and a little later, where more than the content of files can be lost.
func (l Log) Moments() []int {
	all := []int{0}
	for i, o := range l.ops {
		if o.kind == create || o.kind == rename || o.kind == unlink || o.kind == mkdir {
			for later := 1; later <= 64; later *= 2 {
				all = append(all, min(i+later, len(l.ops)))
			}
		}
	}
	return all
}

// Said is what the process had written to its standard output by then.
func (l Log) Said(at int) string {
	var all strings.Builder
	for _, o := range l.ops[:at] {
		if o.kind == said {
			all.Write(o.data)
		}
	}
	return all.String()
}

// After makes the directory to what may be left of from, which the process worked in, when the power is cut at a moment.
func (l Log) After(at int, chance *rand.Rand, from, to string) error {
	d := disk{files: map[uint64][]byte{}, names: map[string]uint64{}, folders: map[string]bool{}}
	keep := chance.Float64() // how much of what was not synced has come to the disk anyway
	synced := l.synced(at)
	forgot := map[string]bool{} // directories of which a change of names did not come to the disk
	for i, o := range l.ops[:at] {
		switch o.kind {
		case write, truncate:
			d.data(o, synced[i], keep, chance)
		case create, rename, unlink, mkdir:
			folder := filepath.Dir(o.path)
			if forgot[folder] = forgot[folder] || !synced[i] && chance.Float64() >= keep; !forgot[folder] {
				d.name(o)
			}
		}
	}
	return d.lay(from, to)
}

// synced says of each op whether it lasts. Names in one directory come to the disk in their order.
func (l Log) synced(at int) []bool {
	lasts := make([]bool, at)
	for _, s := range l.ops[:at] {
		if s.kind != sync {
			continue
		}
		for i, o := range l.ops[:s.covers] {
			switch o.kind {
			case write, truncate:
				lasts[i] = lasts[i] || o.file == s.file
			case create, rename, unlink, mkdir:
				lasts[i] = lasts[i] || filepath.Dir(o.path) == s.path || o.kind == rename && filepath.Dir(o.to) == s.path
			}
		}
	}
	return lasts
}

// disk is what files and names are.
type disk struct {
	files   map[uint64][]byte
	names   map[string]uint64
	folders map[string]bool
}

// data changes a file: all of it, or what chance leaves of it, sector by sector.
func (d disk) data(o op, sure bool, keep float64, chance *rand.Rand) {
	if o.kind == truncate {
		if sure || chance.Float64() < keep {
			d.files[o.file] = sized(d.files[o.file], o.offset)
		}
		return
	}
	for begin := 0; begin < len(o.data); {
		end := min(len(o.data), begin+sector-int((o.offset+int64(begin))%sector))
		if sure || chance.Float64() < keep {
			at := o.offset + int64(begin)
			file := d.files[o.file]
			file = sized(file, max(int64(len(file)), o.offset+int64(end)))
			copy(file[at:], o.data[begin:end])
			d.files[o.file] = file
		}
		begin = end
	}
}

func sized(file []byte, size int64) []byte {
	if size <= int64(len(file)) {
		return file[:size:size]
	}
	return append(file, make([]byte, size-int64(len(file)))...)
}

func (d disk) name(o op) {
	switch o.kind {
	case create:
		d.names[o.path] = o.file
	case rename:
		if inode, there := d.names[o.path]; there {
			d.names[o.to] = inode
		}
		delete(d.names, o.path)
	case unlink:
		delete(d.names, o.path)
	case mkdir:
		d.folders[o.path] = true
	}
}

// lay writes everything down at another place. What SQLite maps into memory it makes anew.
func (d disk) lay(from, to string) error {
	for folder := range maps.Keys(d.folders) {
		if err := os.MkdirAll(to+strings.TrimPrefix(folder, from), 0o700); err != nil {
			return err
		}
	}
	for path, inode := range d.names {
		if strings.HasSuffix(path, "-shm") {
			continue
		}
		place := to + strings.TrimPrefix(path, from)
		if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(place, d.files[inode], 0o600); err != nil {
			return fmt.Errorf("lay %s: %w", path, err)
		}
	}
	return nil
}
