package apicache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// object is an object of the API as it was written by a server. Its body is never taken apart further than to its metadata,
// unless it has to be changed or is wanted in another encoding.
type object struct {
	APIVersion, Kind string
	form             form
	body             []byte // of protobuf the message without its envelope
	meta             head
}

// head is what the cache reads of an object's metadata.
type head struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	Version   string `json:"resourceVersion"`
	initial   bool   // a bookmark after all that there was
}

// envelope is how every message begins that is encoded as protobuf.
const envelope = "k8s\x00"

var errForm = errors.New("this is not an object of the API")

// readObject reads one object with its envelope.
func readObject(f form, text []byte) (object, error) {
	if f == jsonText {
		var typed meta.TypeMeta
		if err := json.Unmarshal(text, &typed); err != nil {
			return object{}, err
		}
		return headed(object{APIVersion: typed.APIVersion, Kind: typed.Kind, form: f, body: bytes.TrimSpace(text)})
	}
	unknown, err := open(text)
	if err != nil {
		return object{}, err
	}
	return headed(object{APIVersion: unknown.APIVersion, Kind: unknown.Kind, form: f, body: unknown.Raw})
}

func open(text []byte) (runtime.Unknown, error) {
	var unknown runtime.Unknown
	rest, ok := bytes.CutPrefix(text, []byte(envelope))
	if !ok {
		return unknown, errForm
	}
	return unknown, unknown.Unmarshal(rest)
}

// headed reads the metadata. In every type of Kubernetes it is the first field.
func headed(o object) (object, error) {
	if o.form == jsonText {
		var text struct {
			Metadata struct {
				head
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
		}
		if err := json.Unmarshal(o.body, &text); err != nil {
			return o, err
		}
		o.meta = text.Metadata.head
		o.meta.initial = text.Metadata.Annotations[meta.InitialEventsAnnotationKey] == "true"
		return o, nil
	}
	var partial meta.PartialObjectMetadata
	if err := partial.Unmarshal(o.body); err != nil {
		return o, err
	}
	o.meta = head{Namespace: partial.Namespace, Name: partial.Name, UID: string(partial.UID), Version: partial.ResourceVersion,
		initial: partial.Annotations[meta.InitialEventsAnnotationKey] == "true"}
	return o, nil
}

// text is the object with its envelope.
func (o object) text() ([]byte, error) {
	if o.form == protobuf {
		return seal(o.APIVersion, o.Kind, o.body)
	}
	if bytes.HasPrefix(o.body, []byte(`{"kind"`)) || bytes.HasPrefix(o.body, []byte(`{"apiVersion"`)) {
		return o.body, nil
	}
	typed, err := json.Marshal(meta.TypeMeta{APIVersion: o.APIVersion, Kind: o.Kind})
	if err != nil || len(o.body) < 2 || o.body[0] != '{' {
		return nil, errors.Join(err, errForm)
	}
	return slicesJoin(typed[:len(typed)-1], []byte(","), o.body[1:]), nil
}

func slicesJoin(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func seal(apiVersion, kind string, body []byte) ([]byte, error) {
	unknown := runtime.Unknown{TypeMeta: runtime.TypeMeta{APIVersion: apiVersion, Kind: kind}, Raw: body}
	text, err := unknown.Marshal()
	return append([]byte(envelope), text...), err
}

// list is the answer to a list.
type list struct {
	APIVersion, Kind string // of the list
	version          string
	more             bool // it is not the last page
	items            []object
}

// itemKind is the kind of the objects in it.
func itemKind(listKind string) string { return strings.TrimSuffix(listKind, "List") }

// readList takes a list apart.
func readList(f form, text []byte) (list, error) {
	if f == jsonText {
		return readJSONList(text)
	}
	unknown, err := open(text)
	if err != nil {
		return list{}, err
	}
	l := list{APIVersion: unknown.APIVersion, Kind: unknown.Kind}
	for rest := unknown.Raw; len(rest) > 0; {
		field, wire, tag := protowire.ConsumeTag(rest)
		if tag < 0 || wire != protowire.BytesType {
			return list{}, errForm
		}
		value, n := protowire.ConsumeBytes(rest[tag:])
		if n < 0 {
			return list{}, errForm
		}
		rest = rest[tag+n:]
		switch field {
		case 1:
			var head meta.ListMeta
			if err := head.Unmarshal(value); err != nil {
				return list{}, err
			}
			l.version, l.more = head.ResourceVersion, head.Continue != ""
		case 2:
			o, err := headed(object{APIVersion: l.APIVersion, Kind: itemKind(l.Kind), form: f, body: value})
			if err != nil {
				return list{}, err
			}
			l.items = append(l.items, o)
		}
	}
	return l, nil
}

func readJSONList(text []byte) (list, error) {
	var in struct {
		meta.TypeMeta
		Metadata meta.ListMeta     `json:"metadata"`
		Items    []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return list{}, err
	}
	l := list{APIVersion: in.APIVersion, Kind: in.Kind, version: in.Metadata.ResourceVersion, more: in.Metadata.Continue != ""}
	for _, item := range in.Items {
		o, err := headed(object{APIVersion: l.APIVersion, Kind: itemKind(l.Kind), form: jsonText, body: item})
		if err != nil {
			return list{}, err
		}
		l.items = append(l.items, o)
	}
	return l, nil
}

// text is the list in one encoding, which all of its items must have.
func (l list) text(f form) ([]byte, error) {
	head := meta.ListMeta{ResourceVersion: l.version}
	if f == protobuf {
		first, err := head.Marshal()
		if err != nil {
			return nil, err
		}
		body := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), first)
		for _, o := range l.items {
			body = protowire.AppendBytes(protowire.AppendTag(body, 2, protowire.BytesType), o.body)
		}
		return seal(l.APIVersion, l.Kind, body)
	}
	items := make([]json.RawMessage, 0, len(l.items))
	for _, o := range l.items {
		items = append(items, o.body)
	}
	return json.Marshal(struct {
		meta.TypeMeta
		Metadata meta.ListMeta     `json:"metadata"`
		Items    []json.RawMessage `json:"items"`
	}{meta.TypeMeta{APIVersion: l.APIVersion, Kind: l.Kind}, head, items})
}

// bookmark is an object that has nothing but a resource version. initial says that all objects came before it.
func bookmark(f form, apiVersion, kind, version string, initial bool) (object, error) {
	m := meta.PartialObjectMetadata{ObjectMeta: meta.ObjectMeta{ResourceVersion: version}}
	if initial {
		m.Annotations = map[string]string{meta.InitialEventsAnnotationKey: "true"}
	}
	o := object{APIVersion: apiVersion, Kind: kind, form: f}
	var err error
	if f == protobuf {
		o.body, err = m.Marshal()
	} else {
		m.TypeMeta = meta.TypeMeta{APIVersion: apiVersion, Kind: kind}
		o.body, err = json.Marshal(m)
	}
	if err != nil {
		err = fmt.Errorf("make a bookmark: %w", err)
	}
	return o, err
}
