package apicache

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
)

// note is a change of the index as it is written. An empty field says nothing.
type note struct {
	View       uint32   `json:"v"`
	Key        *viewKey `json:"key,omitempty"` // the view, as a whole; its members stay
	Of         string   `json:"of,omitempty"`
	APIVersion string   `json:"av,omitempty"`
	Kind       string   `json:"kind,omitempty"`
	Version    string   `json:"rv,omitempty"`
	Short      bool     `json:"short,omitempty"`
	Join       *ref     `json:"join,omitempty"`
	Leave      *ref     `json:"leave,omitempty"`
	Gone       bool     `json:"gone,omitempty"`
}

// label is what is written of an object beside its body.
type label struct {
	Ref        ref    `json:"r"`
	APIVersion string `json:"av"`
	Kind       string `json:"kind"`
	Form       form   `json:"f"`
	UID        string `json:"uid,omitempty"`
	Version    string `json:"rv,omitempty"`
	Local      bool   `json:"local,omitempty"`
}

// Kinds of records, by their first byte.
const (
	recordObject = 'o'
	recordNotes  = 'n'
)

func objectRecord(at ref, e *entry, body []byte) ([]byte, error) {
	text, err := json.Marshal(label{Ref: at, APIVersion: e.apiVersion, Kind: e.kind, Form: e.form, UID: e.meta.UID, Version: e.meta.Version, Local: e.local})
	if err != nil {
		return nil, err
	}
	record := binary.BigEndian.AppendUint32([]byte{recordObject}, uint32(len(text)))
	return append(append(record, text...), body...), nil
}

func readObjectRecord(text []byte) (label, []byte, error) {
	var l label
	if len(text) < 5 || text[0] != recordObject {
		return l, nil, errTorn
	}
	size := int64(binary.BigEndian.Uint32(text[1:]))
	if size > int64(len(text)-5) {
		return l, nil, errTorn
	}
	err := json.Unmarshal(text[5:5+size], &l)
	return l, text[5+size:], err
}

func notesRecord(notes []note) ([]byte, error) {
	text, err := json.Marshal(notes)
	return append([]byte{recordNotes}, text...), err
}

// reading is an index on its way from disk.
type reading struct {
	index   *index
	waiting map[ref]*entry // objects that do not count yet
}

// take is for file.replay.
func (r *reading) take(text []byte, where spot) (counts bool, err error) {
	if len(text) == 0 {
		return false, errTorn
	}
	if text[0] == recordObject {
		l, body, err := readObjectRecord(text)
		if err != nil {
			return false, err
		}
		o := object{APIVersion: l.APIVersion, Kind: l.Kind, form: l.Form, body: body}
		r.waiting[l.Ref] = &entry{apiVersion: l.APIVersion, kind: l.Kind, form: l.Form, local: l.Local, sum: r.index.sumOf(l.Ref, o),
			meta: head{Namespace: l.Ref.Namespace, Name: l.Ref.Name, UID: l.UID, Version: l.Version}, where: where, size: len(body)}
		return false, nil
	}
	var notes []note
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte{recordNotes}), &notes); err != nil {
		return false, err
	}
	for at, e := range r.waiting {
		r.place(at, e)
	}
	clear(r.waiting)
	for _, n := range notes {
		r.apply(n)
	}
	return true, nil
}

// place puts an object in the place of the one before it.
func (r *reading) place(at ref, e *entry) {
	if before := r.index.entries[at]; before != nil {
		e.views = before.views
		r.index.live -= int64(before.size)
	}
	r.index.entries[at] = e
	r.index.live += int64(e.size)
}

func (r *reading) apply(n note) {
	x := r.index
	if n.Key != nil {
		v := x.byID[n.View]
		if v == nil {
			v = &view{id: n.View, key: *n.Key, members: map[ref]struct{}{}, listeners: map[*listener]struct{}{}}
			x.add(v)
		}
		v.of, v.apiVersion, v.kind, v.version, v.short = n.Of, n.APIVersion, n.Kind, n.Version, n.Short
		return
	}
	v := x.byID[n.View]
	switch {
	case v == nil:
	case n.Gone:
		x.forget(v)
	case n.Join != nil && x.entries[*n.Join] != nil:
		x.join(v, *n.Join)
	case n.Leave != nil:
		x.leave(v, *n.Leave)
	}
}

// load reads the index that a file holds. What is not whole at its end is cut off; the error says what was.
func load(f *file) (*index, error) {
	r := reading{index: newIndex(), waiting: map[ref]*entry{}}
	r.index.loading = true
	err := f.replay(r.take)
	r.index.loading = false
	for at, e := range r.index.entries {
		if e.views == 0 {
			r.index.live -= int64(e.size)
			delete(r.index.entries, at)
		}
	}
	r.index.notes = nil
	clear(r.index.changed)
	if cut := f.cut(); cut != nil {
		return nil, errors.Join(err, cut)
	}
	return r.index, err
}
