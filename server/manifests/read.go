package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// maxFile bounds the memory that reading takes: some fifteen times as much as the file, for a moment.
const maxFile = 8 << 20

// errUnsettled says that a file is being changed right now.
var errUnsettled = errors.New("another program is still writing it")

// read gives the objects of a file as it was listed.
func read(e entry) ([]*object, error) {
	data, err := content(e)
	if err != nil {
		return nil, err
	}
	if len(bytes.Trim(data, "\x00")) == 0 { // a power cut leaves such files, and a save that ended halfway
		return nil, fault.New("it is empty").Fix("write it again, or remove it to have its objects removed")
	}
	return parse(data)
}

// content reads a file that nobody writes.
func content(e entry) ([]byte, error) {
	f, err := os.OpenFile(e.full, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if beingWritten(f) {
		return nil, errUnsettled
	}
	if e.stamp.size > maxFile {
		return nil, fault.New("its %d MB are more than one file may have", e.stamp.size>>20).Fix("split the file; %d MB fit into one", maxFile>>20)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if stampOf(info) != e.stamp || int64(len(data)) != e.stamp.size {
		return nil, errUnsettled
	}
	return data, nil
}

// beingWritten says that a program has the file open for writing: the kernel refuses a read lease then. Where there are
// no leases, the quiet before a file is read has to do.
func beingWritten(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}
