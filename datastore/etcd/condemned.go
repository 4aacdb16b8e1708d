package etcd

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/durable"
)

const (
	// condemnedFile says why the member is to be made anew; it is there until that is done.
	condemnedFile = "damaged"
	// damagedFolder is how names of folders begin in which damaged members are kept, stamp how the time stands in them.
	damagedFolder, stamp = memberFolder + ".damaged-", "20060102T150405Z"
	// once is how often a member is made anew at most.
	once = time.Hour
)

// sentence is what the file says.
type sentence struct {
	Why string
	// Kept is the folder in which the damaged member is kept, empty until it is moved there. From when it is named the member has given itself
	// up: what lies in its place after that is another one, or the beginning of it.
	Kept string `json:",omitempty"`
	// From, To and Used are what Healed will say.
	From int64  `json:",omitempty"`
	To   int64  `json:",omitempty"`
	Used string `json:",omitempty"`
}

// Condemned says that a member lies or lay in a directory, which the next start makes anew.
func Condemned(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, condemnedFile))
	return err == nil
}

// sentence is that of the directory, without a reason when there is none.
func (c Config) sentence() (s sentence, err error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, condemnedFile))
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, c.unusable(err)
	}
	if json.Unmarshal(text, &s) != nil || s.Why == "" {
		s = sentence{Why: "it was found damaged before"}
	}
	return s, nil
}

func (c Config) pass(s sentence) error {
	err := durable.Write(filepath.Join(c.Dir, condemnedFile), func(w io.Writer) error { return json.NewEncoder(w).Encode(s) })
	if err != nil {
		return c.unusable(err)
	}
	return nil
}

func (c Config) condemn(why error) error { return c.pass(sentence{Why: why.Error()}) }

// acquit takes that back, because the member is made new in another way.
func (c Config) acquit() error { return durable.Remove(filepath.Join(c.Dir, condemnedFile)) }

// condemned is why the member is to be made anew, nil when it is not.
func (c Config) condemned() error {
	s, err := c.sentence()
	if err != nil || s.Why == "" {
		return err
	}
	return damaged{errors.New(s.Why)}
}

// setAside keeps the damaged member, in the place of those of before; what is lost by that is noted. Where that has been done, what lies there
// now was not finished, and goes.
func (c Config) setAside(lost Healed) error {
	s, err := c.sentence()
	if err != nil {
		return err
	}
	now := filepath.Join(c.Dir, memberFolder)
	if s.Kept == "" {
		before, err := filepath.Glob(filepath.Join(c.Dir, damagedFolder+"*"))
		for _, one := range before {
			err = errors.Join(err, os.RemoveAll(one))
		}
		if err != nil {
			return err
		}
		s.Kept = damagedFolder + time.Now().UTC().Format(stamp)
	} else if is(filepath.Join(c.Dir, s.Kept)) {
		return os.RemoveAll(now)
	}
	s.From, s.To, s.Used = lost.From, lost.To, lost.Used
	if err := c.pass(s); err != nil || !is(now) {
		return err
	}
	return durable.Rename(now, filepath.Join(c.Dir, s.Kept))
}

// setBack undoes a setAside after which nothing was put into the place of the member.
func (c Config) setBack(s sentence) error {
	now, kept := filepath.Join(c.Dir, memberFolder), filepath.Join(c.Dir, s.Kept)
	if s.Kept == "" || is(now) || !is(kept) {
		return nil
	}
	return durable.Rename(kept, now)
}

// replaced says that another member is in the place of the damaged one, which is kept.
func (c Config) replaced(s sentence) bool {
	return s.Kept != "" && is(filepath.Join(c.Dir, memberFolder)) && is(filepath.Join(c.Dir, s.Kept))
}

// is says that something is there.
func is(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// keptIn is the folder of the damaged member that was kept last, empty when there is none.
func (c Config) keptIn() string {
	all, err := filepath.Glob(filepath.Join(c.Dir, damagedFolder+"*"))
	if err != nil || len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

func (c Config) madeAnewLately() bool {
	at, err := time.Parse(stamp, strings.TrimPrefix(filepath.Base(c.keptIn()), damagedFolder))
	return err == nil && time.Since(at).Abs() < once
}
