package egress

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsServer answers every question with 192.0.2.5 and notes it, until the test ends.
func dnsServer(t *testing.T) (address string, asked func() []string) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	names := make(chan string, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if err := m.Unpack(packet[:n]); err != nil || len(m.Questions) != 1 {
				continue
			}
			names <- m.Questions[0].Name.String()
			m.Response, m.Additionals = true, nil
			if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
				m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 5}}}}
			}
			if text, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(text, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return conn.LocalAddr().String(), func() []string {
		var all []string
		for len(names) > 0 {
			all = append(all, <-names)
		}
		return all
	}
}

func TestTheResolverKnowsNodes(t *testing.T) {
	address, asked := dnsServer(t)
	d := example(t, Agent)
	r := d.Resolver()
	hook := r.Dial
	r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return hook(ctx, network, address)
	}
	for name, want := range map[string][]string{
		"home-a.":      {"192.168.1.10"},
		"port.":        {"10.0.0.7", "fd00::7"},
		"elsewhere.":   {"192.0.2.5"},
		"example.com.": {"192.0.2.5"},
		"port.of.":     {"192.0.2.5"},
	} {
		found, err := r.LookupIPAddr(t.Context(), name)
		var got []string
		for _, a := range found {
			got = append(got, a.String())
		}
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
		passed := asked()
		if ours := want[0] != "192.0.2.5"; ours && len(passed) > 0 || !ours && !slices.Contains(passed, name) {
			t.Errorf("%s: the DNS server was asked for %q", name, passed)
		}
	}
}

func TestADNSServerThatIsSilentIsGivenUp(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	q := &question{ctx: t.Context(), network: "udp", server: silent.LocalAddr().String(), book: newBook()}
	if err := q.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Write([]byte("\x00\x02hi")); err == nil {
		t.Error("there was an answer")
	}
}
