package datastore_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/engine"
)

// The floors: our server and the order of revisions, over a disk that keeps nothing, and over one that does nothing but append and sync.
const (
	keepsNothing = "floor: keeps nothing"
	onlySyncs    = "floor: only syncs"
)

// floor is a disk for writing alone, past the kernel's cache as our own, in a file that is used again and again.
type floor struct {
	file   *os.File // nil to keep nothing
	buffer []byte
	at     int64
}

const floorSize = 4 << 20

func serveFloor(ctx context.Context, dir string, syncs bool, ready func(datastore.Endpoint)) (err error) {
	f := &floor{}
	if syncs {
		if err := os.WriteFile(filepath.Join(dir, "floor"), make([]byte, floorSize), 0o600); err != nil {
			return err
		}
		if f.file, err = os.OpenFile(filepath.Join(dir, "floor"), os.O_RDWR|unix.O_DIRECT, 0); err != nil {
			return err
		}
		if f.buffer, err = unix.Mmap(-1, 0, floorSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
			return err
		}
	}
	store, err := engine.Open(ctx, f, nil, engine.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer store.Close()
	socket := filepath.Join(dir, "s.sock")
	return datastore.Serve(ctx, store, socket, func() { ready(datastore.Endpoint{URLs: []string{"unix://" + socket}}) })
}

func (f *floor) Commit(_ context.Context, b engine.Batch) error {
	const sector = 512
	if f.file == nil {
		return nil
	}
	size := 0
	for _, r := range b.Put {
		size += copy(f.buffer[size:], r.Key)
		size += copy(f.buffer[size:], r.Value)
	}
	size = (size + sector) / sector * sector
	if f.at+int64(size) > floorSize {
		f.at = 0
	}
	if _, err := f.file.WriteAt(f.buffer[:size], f.at); err != nil {
		return err
	}
	f.at += int64(size)
	return unix.Fdatasync(int(f.file.Fd()))
}

func (f *floor) Load(context.Context, func(engine.Record) error) (engine.State, error) {
	return engine.State{}, nil
}

func (f *floor) Values(_ context.Context, revisions []int64) ([][]byte, error) {
	return make([][]byte, len(revisions)), nil
}

func (f *floor) Settle(context.Context) error        { return nil }
func (f *floor) Size(context.Context) (int64, error) { return 0, nil }
func (f *floor) Tidy(context.Context) (bool, error)  { return false, nil }
func (f *floor) Close() error                        { return nil }
