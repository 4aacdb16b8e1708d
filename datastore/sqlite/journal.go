package sqlite

import (
	"errors"
	"fmt"
	"hash"
	"os"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/durable"
)

const (
	// mostLatest is how far the file of the latest changes grows before they are brought into the database, in bytes.
	mostLatest = 512 << 10
	// ahead is how much the file grows at a time: a sync costs less that need not write down a new length.
	ahead = 64 << 10
)

// journal is the file of the latest changes, for the one who writes it. Where it can it passes by the kernel's cache: a small entry then
// costs a sector or two, and not a page or two.
type journal struct {
	path   string
	file   *os.File // nil until there is something to write
	unit   int      // entries begin and end at multiples of it
	buffer []byte   // zeros, then room for an entry: where the kernel can take them from
	end    int64    // where the next entry goes
	size   int64    // of the file
	stamp  stamp    // what the database has to know of it with its next commit
	seals  hash.Hash
	used   bool // nothing may be added before the database has had another commit
}

// full says that the database has to get what is in the file.
func (j *journal) full() bool { return j.used || j.end >= mostLatest }

// restart begins at the front again: the database has everything.
func (j *journal) restart() {
	if j.end = 0; j.used {
		_ = j.close() // what was in it is of no use any more
		j.used = false
	}
}

// refused is told of a commit of the database that has failed. The disk may have it all the same, until there is another in its place; that
// one has a number of its own, because SQLite writes nothing for a commit that changes nothing.
func (j *journal) refused() {
	j.stamp.number++
	j.used = true
}

// add writes an entry, and gives how many bytes that took. The entry lasts when add has returned; when it returns an error, the entry may
// be there or not, and the database has to be brought beyond it before there is another one.
func (j *journal) add(changes []change) (wrote int64, err error) {
	j.stamp.number++
	if wrote, err = j.write(changes); err != nil {
		j.used = true
	}
	return wrote, err
}

func (j *journal) write(changes []change) (wrote int64, err error) {
	if j.file == nil {
		if err := j.open(); err != nil {
			return 0, err
		}
	}
	entry := appendEntry(j.buffer[ahead:ahead], j.seals, j.stamp.number, changes, j.unit)
	for j.size < j.end+int64(len(entry)) {
		if _, err := j.file.WriteAt(j.buffer[:ahead], j.size); err != nil {
			return wrote, err
		}
		j.size, wrote = j.size+ahead, wrote+ahead
	}
	if _, err := j.file.WriteAt(entry, j.end); err != nil {
		return wrote, err
	}
	j.end, wrote = j.end+int64(len(entry)), wrote+int64(len(entry))
	return wrote, unix.Fdatasync(int(j.file.Fd()))
}

// open makes the file anew, whatever was in it.
func (j *journal) open() (err error) {
	const flags = os.O_RDWR | os.O_CREATE | os.O_TRUNC
	if j.buffer == nil {
		if j.buffer, err = unix.Mmap(-1, 0, ahead+mostEntry, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
			return fmt.Errorf("get a buffer: %w", err)
		}
	}
	if j.file, err = os.OpenFile(j.path, flags, 0o600); err != nil {
		j.file = nil
		return err
	}
	j.end, j.size, j.unit = 0, 0, sector
	if unit := directly(j.file); unit > 0 {
		if direct, err := os.OpenFile(j.path, flags|unix.O_DIRECT, 0o600); err == nil {
			err := j.file.Close()
			if j.file, j.unit = direct, max(unit, sector); err != nil {
				return err
			}
		}
	}
	return durable.SyncDir(dirOf(j.path))
}

// directly says in which multiples a file can be written past the kernel's cache; 0 is for not at all, or unknown.
func directly(f *os.File) int {
	var about unix.Statx_t
	err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &about)
	if err != nil || about.Mask&unix.STATX_DIOALIGN == 0 || about.Dio_mem_align > mostUnit || about.Dio_offset_align > mostUnit {
		return 0
	}
	return int(about.Dio_offset_align)
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}

// finish lets go of everything; the file goes too when the database has all of it.
func (j *journal) finish(settled bool) error {
	err := j.close()
	if settled {
		if gone := os.Remove(j.path); !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	if j.buffer != nil {
		err = errors.Join(err, unix.Munmap(j.buffer))
		j.buffer = nil
	}
	return err
}
