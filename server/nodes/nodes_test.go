package nodes

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
)

// recorded is the record of node "pi", made some time ago.
func recorded(fingerprint string, age time.Duration) *core.Secret {
	r := record("pi", fingerprint)
	r.Data[keySince] = []byte(time.Now().Add(-age).UTC().Format(time.RFC3339))
	return r
}

func node() *core.Node { return &core.Node{ObjectMeta: meta.ObjectMeta{Name: "pi"}} }

func TestClaim(t *testing.T) {
	const old = time.Hour
	for name, c := range map[string]struct {
		have   []runtime.Object
		taken  bool
		remade bool // the record says now
	}{
		"a new name": {nil, false, true},
		"a Node of earlier times, without a record":      {[]runtime.Object{node()}, false, true},
		"the same key, joining":                          {[]runtime.Object{recorded("ours", 0)}, false, false},
		"the same key, with its Node":                    {[]runtime.Object{recorded("ours", old), node()}, false, false},
		"the same key, after long":                       {[]runtime.Object{recorded("ours", old)}, false, true},
		"another key, with its Node":                     {[]runtime.Object{recorded("theirs", old), node()}, true, false},
		"another key, that has just got both":            {[]runtime.Object{recorded("theirs", 0), node()}, true, false},
		"another key, that is joining":                   {[]runtime.Object{recorded("theirs", 30*time.Second)}, true, false},
		"another key, that never came":                   {[]runtime.Object{recorded("theirs", 2*time.Minute)}, false, true},
		"another key, recorded by a clock in the future": {[]runtime.Object{recorded("theirs", -old)}, false, true},
		"a record of no use":                             {[]runtime.Object{&core.Secret{ObjectMeta: record("pi", "").ObjectMeta}}, false, true},
	} {
		client := fake.NewClientset(c.have...)
		err := Claim(t.Context(), client, "pi", "ours")
		var taken Taken
		if errors.As(err, &taken) != c.taken || err != nil && !c.taken {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		var told *fault.Fault
		if c.taken && (!errors.As(err, &told) || !strings.Contains(told.Cure(), "skerry node replace pi") || strings.Contains(err.Error(), "theirs")) {
			t.Errorf("%s: the refusal is %v", name, err)
		}
		have, err := client.CoreV1().Secrets("kube-system").Get(t.Context(), "node-key.pi", meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if now := string(have.Data[keyFingerprint]) == "ours" && time.Since(since(have)) < 10*time.Second; c.remade && (!now || have.Type != SecretType) {
			t.Errorf("%s: the record says %s", name, have.Data)
		}
		if ours := string(have.Data[keyFingerprint]) == "ours"; ours == c.taken {
			t.Errorf("%s: the record is of %s", name, have.Data)
		}
	}
}

func TestOfTwoKeysOneGetsTheName(t *testing.T) {
	client := fake.NewClientset()
	var won, lost atomic.Int32
	var all sync.WaitGroup
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		all.Go(func() {
			err := Claim(context.WithoutCancel(t.Context()), client, "pi", key)
			var taken Taken
			switch {
			case err == nil:
				won.Add(1)
			case errors.As(err, &taken):
				lost.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != 7 {
		t.Errorf("%d got the name, %d were refused", won.Load(), lost.Load())
	}
}

func TestAClaimThatAlwaysLosesEnds(t *testing.T) {
	client := fake.NewClientset(recorded("theirs", time.Hour))
	client.PrependReactor("update", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(core.Resource("secrets"), "node-key.pi", errors.New("changed"))
	})
	var taken Taken
	if err := Claim(t.Context(), client, "pi", "ours"); err == nil || errors.As(err, &taken) {
		t.Errorf("got %v", err)
	}
}

func TestCheckAndForget(t *testing.T) {
	client := fake.NewClientset(recorded("ours", time.Hour), node())
	if known, err := Check(t.Context(), client, "pi", "ours"); err != nil || !known {
		t.Errorf("the recorded key: %t, %v", known, err)
	}
	var taken Taken
	if _, err := Check(t.Context(), client, "pi", "theirs"); !errors.As(err, &taken) {
		t.Errorf("another key: %v", err)
	}
	if known, err := Check(t.Context(), client, "other", "ours"); err != nil || known {
		t.Errorf("another name: %t, %v", known, err)
	}
	for range 2 {
		if err := Forget(t.Context(), client, "pi"); err != nil {
			t.Fatal(err)
		}
	}
	if known, err := Check(t.Context(), client, "pi", "ours"); err != nil || known {
		t.Errorf("after it is forgotten: %t, %v", known, err)
	}
	if err := Claim(t.Context(), client, "pi", "theirs"); err != nil {
		t.Errorf("the machine that replaces it: %v", err)
	}
}

func TestAnAPIThatFailsIsNoAnswer(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("etcd is away") })
	var taken Taken
	if err := Claim(t.Context(), client, "pi", "ours"); err == nil || errors.As(err, &taken) {
		t.Errorf("claim: %v", err)
	}
	if _, err := Check(t.Context(), client, "pi", "ours"); err == nil || errors.As(err, &taken) {
		t.Errorf("check: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	one, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	two, err := certs.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	first, err := Fingerprint(one.Public())
	if err != nil || len(first) != 64 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, _ := Fingerprint(one.Public()); again != first {
		t.Error("a key has two fingerprints")
	}
	if second, _ := Fingerprint(two.Public()); second == first {
		t.Error("two keys have one fingerprint")
	}
	if _, err := Fingerprint("no key"); err == nil {
		t.Error("what is no key has one")
	}
}
