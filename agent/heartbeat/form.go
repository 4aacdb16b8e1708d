package heartbeat

import (
	"errors"
	"fmt"

	coordination "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

var errLease = errors.New("this is no lease")

// read reads a lease in any form that the API speaks.
func read(text []byte) (*coordination.Lease, error) {
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		return nil, err
	}
	lease, is := object.(*coordination.Lease)
	if !is {
		return nil, errLease
	}
	return lease, nil
}

// write writes one in the form that has this name.
func write(lease *coordination.Lease, media string) ([]byte, error) {
	info, known := runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), media)
	if !known {
		return nil, fmt.Errorf("nothing is written as %s here", media)
	}
	return runtime.Encode(scheme.Codecs.EncoderForVersion(info.Serializer, coordination.SchemeGroupVersion), lease)
}

func equal(a, b *coordination.Lease) bool { return equality.Semantic.DeepEqual(a, b) }
