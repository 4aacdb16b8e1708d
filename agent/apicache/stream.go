package apicache

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Types of events in a watch.
const (
	added    = "ADDED"
	modified = "MODIFIED"
	deleted  = "DELETED"
	marked   = "BOOKMARK"
	failed   = "ERROR"
)

// maxEvent bounds one event of a watch, in bytes; a server allows objects of 1.5 MiB.
const maxEvent = 8 << 20

// stream takes the events out of a watch as its bytes pass by.
type stream struct {
	form form
	rest []byte // of an event that is not complete yet
	lost bool   // it makes no sense any more
}

// feed takes the next bytes and calls event for each that became complete.
func (s *stream) feed(p []byte, event func(kind string, o object)) {
	if s.lost {
		return
	}
	s.rest = append(s.rest, p...)
	for !s.lost {
		text, ok := s.next()
		if !ok {
			break
		}
		kind, o, err := readEvent(s.form, text)
		if err != nil {
			s.lost = true
			break
		}
		event(kind, o)
	}
	if s.lost || len(s.rest) == 0 {
		s.rest = nil // a large event is not to be held until the next
	}
}

// next cuts the text of one event off.
func (s *stream) next() (text []byte, ok bool) {
	if s.form == jsonText {
		line, rest, found := bytes.Cut(s.rest, []byte("\n"))
		if s.lost = !found && len(s.rest) > maxEvent; !found {
			return nil, false
		}
		s.rest = rest
		return line, true
	}
	if len(s.rest) < 4 {
		return nil, false
	}
	size := int64(binary.BigEndian.Uint32(s.rest))
	if s.lost = size > maxEvent; s.lost || int64(len(s.rest)) < 4+size {
		return nil, false
	}
	text, s.rest = s.rest[4:4+size], s.rest[4+size:]
	return text, true
}

func readEvent(f form, text []byte) (string, object, error) {
	if f == jsonText {
		var e struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := json.Unmarshal(text, &e); err != nil {
			return "", object{}, err
		}
		o, err := readObject(f, e.Object)
		return e.Type, o, err
	}
	var e meta.WatchEvent
	if err := e.Unmarshal(text); err != nil {
		return "", object{}, err
	}
	o, err := readObject(f, e.Object.Raw)
	return e.Type, o, err
}

// eventText is one event as it goes over the wire.
func eventText(kind string, o object) ([]byte, error) {
	text, err := o.text()
	if err != nil {
		return nil, err
	}
	if o.form == jsonText {
		line, err := json.Marshal(struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}{kind, text})
		return append(line, '\n'), err
	}
	e := meta.WatchEvent{Type: kind, Object: runtime.RawExtension{Raw: text}}
	body, err := e.Marshal()
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), err
}
