package members

import (
	"context"
	"errors"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
)

func TestTheFirstListIsTriedAgainAtOnceAndLaterOnesAreNot(t *testing.T) {
	asked, fail := 0, 3
	source := soonListed(&cache.ListWatch{ListWithContextFunc: func(context.Context, meta.ListOptions) (runtime.Object, error) {
		if asked++; asked <= fail {
			return nil, errors.New("forbidden")
		}
		return &core.NodeList{}, nil
	}})
	began := time.Now()
	if _, err := source.ListWithContext(t.Context(), meta.ListOptions{}); err != nil || asked != 4 {
		t.Errorf("%v after %d tries", err, asked)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	asked = 0
	if _, err := source.ListWithContext(t.Context(), meta.ListOptions{}); err == nil || asked != 1 {
		t.Errorf("a later list: %v after %d tries", err, asked)
	}
}
