package payload

import (
	"fmt"
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
	if err := p.extractOne(name, loaded); err != nil {
		loaded.Close()
		return nil, err
	}
	return loaded, nil
}
