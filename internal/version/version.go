package version

import "time"

// These are stamped by scripts/build with -ldflags -X; nothing writes them at run time.
var (
	number = "dev"
	commit = "unknown"
)

// Kubernetes is the upstream release that is linked in; a test holds it against go.mod.
const Kubernetes = "v1.36.4"

// Earliest is before any release: a clock that says less was lost with the power.
func Earliest() time.Time { return time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) }

// Number is the release, for example "v0.1.0+k1.36.4".
func Number() string { return number }

// Commit is the git commit the binary was built from.
func Commit() string { return commit }
