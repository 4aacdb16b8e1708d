package manifests

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"time"
)

// manifest is a file that is or was in the folder: what is kept of it between two passes.
type manifest struct {
	path  string
	entry entry
	gone  bool
	stamp stamp // as it was last seen
	wants []ref // what it held when it was last read; nil when that is not known
	known bool  // wants is what the file of this stamp holds

	phase Phase
	since time.Time
	err   error

	due   time.Time // when there is something to do about it; zero: when it changes
	tries int       // in a row that were in vain

	told   string // the error that was last told, and when
	toldAt time.Time
}

// become sets the phase; since is kept while it stays the same.
func (m *manifest) become(p Phase, err error, now time.Time) {
	if m.phase != p {
		m.phase, m.since = p, now
	}
	m.err = err
}

// again sets when it is tried again: the pause doubles up to limit.
func (m *manifest) again(now time.Time, limit time.Duration) {
	const first = 250 * time.Millisecond
	m.due = now.Add(min(first<<min(m.tries, 16), limit))
	m.tries++
}

// rest says that there is nothing to do until the file changes.
func (m *manifest) rest() { m.due, m.tries = time.Time{}, 0 }

// id is the file's name in labels and in names of objects: legible, and another one for each path.
func id(path string) string {
	sum := sha256.Sum256([]byte(path))
	slug := strings.Trim(unfit.ReplaceAllString(strings.ToLower(path), "-"), "-")
	return strings.Trim(slug[:min(len(slug), 40)]+"-"+hex.EncodeToString(sum[:5]), "-")
}

var unfit = regexp.MustCompile(`[^a-z0-9]+`)

// These stand on every object that a file brought.
const (
	ownerLabel     = "skerry.io/manifest"      // the file's id
	fileAnnotation = "skerry.io/manifest-file" // its path
)

const (
	waitLimit   = time.Minute      // the longest pause when something may come by itself
	refuseLimit = 10 * time.Minute // the longest pause when it was refused
	writeLimit  = time.Second      // the longest pause while somebody writes the file
	goneTime    = time.Second      // how long a file must be away to be gone: editors rename
	oldEnough   = 2 * time.Second  // the age from which a file at the start is taken to be whole
)

// see takes in how the walk found the file.
func (m *manifest) see(e entry, now time.Time) {
	fresh := m.phase == ""
	back := m.gone
	m.entry, m.gone = e, false
	switch {
	case e.err != nil:
		m.become(Failed, e.err, now)
		m.stamp, m.known = stamp{}, false
		m.rest()
	case e.skip:
		m.become(Skipped, nil, now)
		m.stamp, m.known = stamp{}, false
		m.rest()
	case e.stamp != m.stamp || back:
		m.become(Pending, nil, now)
		m.stamp, m.known, m.tries = e.stamp, false, 0
		m.due = now.Add(quiet)
		if fresh && now.Sub(time.Unix(0, e.stamp.mtime)) > oldEnough {
			m.due = now
		}
	}
}

// miss takes in that the walk did not find the file.
func (m *manifest) miss(now time.Time) {
	if m.gone {
		return
	}
	m.gone, m.tries, m.due = true, 0, now.Add(goneTime)
	m.become(Removing, nil, now)
}

// errNotTried stands for objects after one that the API server did not answer for in time.
var errNotTried = errors.New("not tried, as the one before was not answered")
