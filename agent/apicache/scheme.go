package apicache

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kprotobuf "k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// typed makes the Go object of an object.
func typed(o object) (runtime.Object, error) {
	text, err := o.text()
	if err != nil {
		return nil, err
	}
	return decode(text)
}

// decode makes a Go object of a text in any encoding.
func decode(text []byte) (runtime.Object, error) {
	out, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
	return out, err
}

// encoded makes an object of a Go object, in the encoding given.
func encoded(f form, apiVersion, kind string, from runtime.Object) (object, error) {
	o := object{APIVersion: apiVersion, Kind: kind, form: f}
	from.GetObjectKind().SetGroupVersionKind(schemaKind(apiVersion, kind))
	if f == jsonText {
		var err error
		if o.body, err = json.Marshal(from); err != nil {
			return o, err
		}
		return headed(o)
	}
	text, err := runtime.Encode(kprotobuf.NewSerializer(scheme.Scheme, scheme.Scheme), from)
	if err != nil {
		return o, err
	}
	unknown, err := open(text)
	if err != nil {
		return o, err
	}
	o.body = unknown.Raw
	return headed(o)
}

// in gives the object in another encoding.
func (o object) in(f form) (object, error) {
	if o.form == f {
		return o, nil
	}
	from, err := typed(o)
	if err != nil {
		return o, fmt.Errorf("write %s %s in another encoding: %w", o.Kind, o.meta.Name, err)
	}
	return encoded(f, o.APIVersion, o.Kind, from)
}

func schemaKind(apiVersion, kind string) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(apiVersion, kind)
}
