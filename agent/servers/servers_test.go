package servers

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
)

const configured = "https://skerry.example:6443"

func open(t *testing.T, file, configured string) *Servers {
	t.Helper()
	return Open(Config{File: file, Configured: configured, Own: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Node: "pi"}, slog.New(slog.DiscardHandler))
}

func slice(name string, addresses ...string) *discovery.EndpointSlice {
	port, https := int32(6443), "https"
	s := &discovery.EndpointSlice{
		ObjectMeta:  meta.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{discovery.LabelServiceName: service}},
		AddressType: discovery.AddressTypeIPv4,
		Ports:       []discovery.EndpointPort{{Name: &https, Port: &port}},
	}
	for _, a := range addresses {
		s.Endpoints = append(s.Endpoints, discovery.Endpoint{Addresses: []string{a}})
	}
	return s
}

// run follows a cluster until the test ends.
func run(t *testing.T, s *Servers, client kubernetes.Interface) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.follow(ctx, client, func() {}) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// until waits for a list with these servers in any order.
func until(t *testing.T, s *Servers, want ...string) {
	t.Helper()
	late := time.After(10 * time.Second)
	for {
		changed := s.Changed()
		have := slices.Sorted(slices.Values(s.URLs()))
		if slices.Equal(have, slices.Sorted(slices.Values(want))) {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("have %v, want %v", have, want)
		}
	}
}

func TestTheListIsLearnedAndSurvivesAReboot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "servers.json")
	s := open(t, file, configured)
	until(t, s, configured)
	client := fake.NewClientset(slice("kubernetes", "10.0.0.2"))
	run(t, s, client)
	until(t, s, "https://10.0.0.2:6443", configured)

	slices := client.DiscoveryV1().EndpointSlices("default")
	if _, err := slices.Update(t.Context(), slice("kubernetes", "10.0.0.3", "10.0.0.2"), meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := slices.Create(t.Context(), slice("other", "fd00::1"), meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"https://10.0.0.2:6443", "https://10.0.0.3:6443", "https://[fd00::1]:6443", configured}
	until(t, s, want...)
	if urls := s.URLs(); urls[len(urls)-1] != configured {
		t.Errorf("the server of the settings is not the last resort: %v", urls)
	}

	for _, name := range []string{"kubernetes", "other"} {
		if _, err := slices.Update(t.Context(), slice(name), meta.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := slices.Delete(t.Context(), "other", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	again := open(t, file, configured)
	if len(s.URLs()) < 2 || len(again.URLs()) < 2 {
		t.Errorf("an empty answer made the list forget: %v, on disk %v", s.URLs(), again.URLs())
	}
}

func TestTheServerOnThisMachineIsTheFirstChoice(t *testing.T) {
	const own = "https://127.0.0.1:6443"
	s := open(t, filepath.Join(t.TempDir(), "servers.json"), own)
	s.learn([]string{"https://10.0.0.2:6443", "https://10.0.0.1:6443"})
	if urls := s.URLs(); !slices.Equal(urls, []string{own, "https://10.0.0.2:6443"}) {
		t.Errorf("got %v; want the loopback first, and not the same server a second time", urls)
	}
}

func TestServersShareTheNodes(t *testing.T) {
	first := map[string]int{}
	for i := range 90 {
		s := Open(Config{File: filepath.Join(t.TempDir(), "x"), Configured: configured, Node: "node-" + string(rune('0'+i))}, slog.New(slog.DiscardHandler))
		s.learned = []string{"https://10.0.0.1:6443", "https://10.0.0.2:6443", "https://10.0.0.3:6443"}
		first[s.URLs()[0]]++
	}
	for url, nodes := range first {
		if nodes < 10 || len(first) != 3 {
			t.Errorf("%s is the first choice of %d nodes of 90: %v", url, nodes, first)
		}
	}
}

func TestADamagedMemoryIsNoneAtAll(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":         "",
		"half":            `{"servers":["https://10.0`,
		"of other things": `{"servers":["", "http://10.0.0.1", "nonsense"]}`,
	} {
		file := filepath.Join(t.TempDir(), "servers.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if urls := open(t, file, configured).URLs(); !slices.Equal(urls, []string{configured}) {
			t.Errorf("%s: got %v", name, urls)
		}
	}
}
