package payload

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Load unpacks one program to memory, for a user who may not write anywhere. The file can be run as /proc/self/fd/N.
func (p *Payload) Load(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	loaded := os.NewFile(uintptr(fd), name)
	found := false
	err = p.extract(func(f file) (io.WriterAt, error) {
		if f.name != name {
			return nil, nil
		}
		found = true
		return loaded, nil
	})
	if err == nil && !found {
		err = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		loaded.Close()
		return nil, err
	}
	return loaded, nil
}
