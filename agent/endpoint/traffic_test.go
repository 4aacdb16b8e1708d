package endpoint

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/traffic"
)

// TestOnlyWhatLeavesTheMachineIsCounted: "localhost" stands for a server elsewhere, as it is no address.
func TestOnlyWhatLeavesTheMachineIsCounted(t *testing.T) {
	t.Parallel()
	const long = 20_000
	c := newCluster(t)
	c.serving = issue(t, c.serverCA, certs.Subject{Name: "server", DNS: []string{"localhost"}, Server: true})
	address := freeAddress(t)
	c.serve(t, address, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", long)) })
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	meter := traffic.NewMeter()
	p, err := newPool(c, newList("https://localhost:"+port, "https://127.0.0.1:1"), time.Second, meter, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for range 2 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://any/api", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := p.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	links := meter.Links()
	if len(links) != 1 || links[0].Peer != "localhost:"+port || links[0].Way != traffic.API {
		t.Fatalf("counted are %v", links)
	}
	if l := links[0]; l.Received < 2*long || l.Received > 3*long || l.Sent < 300 || l.Sent > long {
		t.Errorf("counted are %v", l)
	}
}
