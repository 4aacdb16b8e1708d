package clock

import (
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/skerry-io/skerry/internal/version"
)

// floor is the last known time: that of the note, or of what was written since. Without a note it is the program's own.
func (c *Clock) floor() time.Time {
	noted, ok := c.noted()
	if !ok {
		return version.Earliest()
	}
	floor := noted
	for _, at := range c.written() {
		if at.After(floor) && !at.After(noted.Add(lead)) {
			floor = at
		}
	}
	return floor
}

// noted is the time of the note, if it can be believed.
func (c *Clock) noted() (time.Time, bool) {
	info, err := os.Stat(c.config.File)
	if err != nil || info.ModTime().Before(version.Earliest()) || info.ModTime().After(version.Earliest().Add(epoch)) {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

// written are the times of the files beside the note.
func (c *Clock) written() []time.Time {
	var all []time.Time
	for _, path := range c.config.Beside {
		info, err := os.Stat(path)
		if err != nil {
			continue // it was not written yet
		}
		all = append(all, info.ModTime())
		entries, err := os.ReadDir(path)
		if err != nil {
			continue // a file
		}
		for _, entry := range entries {
			if info, err := entry.Info(); err == nil && !entry.IsDir() {
				all = append(all, info.ModTime())
			}
		}
	}
	return all
}

// note keeps what time it is: also when that is earlier than what was known, where the time is known by now or set, which says
// that somebody has corrected it. Nothing but the time of a file changes.
func (c *Clock) note(set bool) {
	now := c.system.Now()
	known := c.system.Known()
	if noted, ok := c.noted(); ok && now.Before(noted) && !known && !set || now.Before(version.Earliest()) {
		return
	}
	if known || set {
		c.lag(time.Time{})
	}
	err := os.Chtimes(c.config.File, now, now)
	if ignore(err, syscall.ENOENT) == nil && err != nil {
		if err = os.MkdirAll(filepath.Dir(c.config.File), 0o700); err == nil {
			err = os.WriteFile(c.config.File, []byte("The time of this file is the last time that this node knew.\n"), 0o644)
		}
		if err == nil {
			err = os.Chtimes(c.config.File, now, now)
		}
	}
	if err != nil {
		c.config.Log.Debug("the time cannot be noted", "file", c.config.File, "err", err)
	}
}
