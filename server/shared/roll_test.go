package shared

import (
	"slices"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// A server that says so is on the roll when it is ready, once, until somebody strikes it.
func TestTheRoll(t *testing.T) {
	client := store(t)
	on := func(want ...string) {
		t.Helper()
		if got, err := Enlisted(t.Context(), client); err != nil || !slices.Equal(got, want) {
			t.Errorf("on the roll are %q, not %q, %v", got, want, err)
		}
	}
	on()
	m := newMachine(t).first("s")
	for _, name := range []string{"b", "", "a", "b"} {
		k := New(Config{Place: m.Place, Name: name, Secret: func() string { return "s" }, Log: quiet()})
		if err := run(t, k, client)(); err != nil {
			t.Fatal(err)
		}
	}
	on("a", "b")
	for _, name := range []string{"a", "none"} {
		if err := Strike(t.Context(), client, name); err != nil {
			t.Fatal(err)
		}
	}
	on("b")
	if all, err := client.Get(t.Context(), "/registry", clientv3.WithPrefix()); err != nil || len(all.Kvs) > 0 {
		t.Errorf("Kubernetes sees %v, %v", all, err)
	}
}
