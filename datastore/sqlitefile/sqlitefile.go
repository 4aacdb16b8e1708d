package sqlitefile

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// URI names a file to SQLite; query is what comes behind the question mark, as "mode=ro".
func URI(path, query string) string { return "file:" + Escape(path) + "?" + query }

// Escape makes a path part of a URI, where these letters would mean something.
func Escape(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23").Replace(path)
}

// Check refuses a file that is not a database. One that is not there, or has nothing in it, is fine.
func Check(path string) error {
	magic := []byte("SQLite format 3\x00")
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return Unusable(path, err)
	}
	defer f.Close()
	head := make([]byte, len(magic))
	switch n, err := io.ReadFull(f, head); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil // created, but the power went before the first page was written
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return Unusable(path, err)
	case !bytes.Equal(head, magic):
		return fault.New("%s is not a SQLite database", path).
			Fix("move it aside to start an empty cluster, or put the right file back")
	}
	return nil
}

// Unusable says that a database cannot be opened, and why.
func Unusable(path string, err error) error {
	return fault.New("open the database %s", path).Because(err).
		Fix("check that the disk is not full or read-only; a damaged file can be moved aside, which starts an empty cluster")
}
