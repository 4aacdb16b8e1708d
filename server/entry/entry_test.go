package entry

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/shared"
)

// TestATokenThatDoesNotSayWhoseItIs is refused before anybody is asked.
func TestATokenThatDoesNotSayWhoseItIs(t *testing.T) {
	var asked atomic.Int32
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer web.Close()
	place := shared.Place{Dir: t.TempDir(), Names: []string{"tls/server-ca.crt", "tls/server-ca.key", "token"}}
	_, err := Enter(t.Context(), Config{Server: web.URL, Token: wire.Token{Secret: "of-the-servers"}, Name: "b", Place: place, Log: slog.New(slog.DiscardHandler)})
	var told *fault.Fault
	if !errors.As(err, &told) || !strings.Contains(err.Error(), "does not say which cluster") || !strings.Contains(told.Cure(), "server/token") {
		t.Errorf("got %v", err)
	}
	if asked.Load() > 0 {
		t.Error("the server was asked")
	}
}
