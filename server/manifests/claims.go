package manifests

import (
	"errors"
	"fmt"

	"github.com/skerry-io/skerry/internal/fault"
)

var errDuplicate = errors.New("it is held twice")

// claims say whose each object is. An object has one file: the one that brought it, as long as that file holds it;
// otherwise the first by path.
type claims struct {
	book  *book
	files map[key]*manifest
	first map[key]*object // of the files that are read in this pass
}

// claim tells, for the objects that are to be applied, those that are another's from the rest.
func claim(b *book, all []*manifest, read map[*manifest][]*object) *claims {
	c := &claims{book: b, files: map[key]*manifest{}, first: map[key]*object{}}
	for _, m := range all {
		objects, now := read[m]
		switch {
		case m.gone:
		case now: // what it brought and holds still, before anything that is new
			for _, o := range objects {
				if b.of(m.path).has(o.key()) {
					c.take(o.key(), m)
				}
			}
		case m.known:
			for _, r := range m.wants {
				c.take(r.key(), m)
			}
		default: // skipped or unreadable: nobody knows what it holds now
			for _, r := range b.of(m.path).refs {
				c.take(r.key(), m)
			}
		}
	}
	return c
}

func (c *claims) take(k key, m *manifest) {
	if c.files[k] == nil {
		c.files[k] = m
	}
}

// check is nil when an object may be applied for its file.
func (c *claims) check(o *object) error {
	k := o.key()
	c.take(k, o.file)
	if holder := c.files[k]; holder != o.file {
		return duplicate("the file "+holder.path+" holds it already", "take it out of one of the two files")
	}
	if c.first[k] == nil {
		c.first[k] = o
	}
	if first := c.first[k]; first != o {
		return duplicate(fmt.Sprintf("line %d of the file holds it already", first.line), "take one of the two out")
	}
	if other := c.book.others[k]; other != nil && other.path != o.file.path {
		return duplicate(fmt.Sprintf("the file %s of the server %s holds it already", other.path, other.server),
			fmt.Sprintf("take it out of one of the two files; if that server is no more, delete the ConfigMap %s in kube-system", other.stored.Name))
	}
	return nil
}

func duplicate(why, cure string) error {
	return fault.New("%s", why).Because(errDuplicate).Fix("%s", cure)
}
