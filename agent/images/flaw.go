package images

import (
	"errors"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
)

// flaw is something wrong with an archive itself: trying it again does not help until it changes.
type flaw struct {
	why     string
	cure    string
	cut     bool // it ends too early, so it may still be growing
	missing bool // a part is not there
	cause   error
}

func (f *flaw) Error() string {
	if f.cause == nil {
		return f.why
	}
	return f.why + ": " + f.cause.Error()
}

func (f *flaw) Unwrap() error { return f.cause }

const copyAgain = "copy the file again, and compare its checksum with the original's"

func truncated(cause error) *flaw {
	return &flaw{why: "the archive ends too early", cure: copyAgain, cut: true, cause: cause}
}

// cureOf is the advice for an error of the machine rather than of an archive.
func cureOf(err error) string {
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ENOSPC) || strings.Contains(text, "no space left on device"):
		return "free space on the disk of the data directory"
	case errors.Is(err, syscall.EDQUOT) || strings.Contains(text, "disk quota exceeded"):
		return "raise the quota of the data directory"
	case errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM):
		return "let root read the file"
	case errdefs.IsUnavailable(err):
		return "see the log of containerd, it does not answer"
	}
	return "see the log of containerd"
}

// broken says that the runtime found the content of an image bad while unpacking it. The words are all that is left of
// the error on its way through the socket.
func broken(err error) bool {
	for _, word := range []string{"wrong diff id", "mismatched image rootfs", "invalid tar header", "unexpected EOF", "corrupt input",
		"invalid checksum", "magic number mismatch", "invalid input"} {
		if strings.Contains(err.Error(), word) {
			return true
		}
	}
	return false
}
