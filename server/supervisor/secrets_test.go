package supervisor

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// safe is Secrets whose rotation ends with an error.
type safe struct {
	trouble  error
	deadline bool // a rotation had to end within some time
}

func (s *safe) Status(context.Context) (wire.SecretsStatus, error) {
	return wire.SecretsStatus{Enabled: true, Keys: []string{"key1"}}, s.trouble
}

func (s *safe) Rotate(ctx context.Context, say func(wire.SecretsProgress)) error {
	_, s.deadline = ctx.Deadline()
	say(wire.SecretsProgress{Stage: wire.SecretsReading, Key: "key2"})
	return s.trouble
}

func (s *safe) Name() string { return "pi" }

func (s *safe) Loaded(_ context.Context, hash string) (string, error) {
	return "not " + hash, s.trouble
}

func TestSecretsAreAnAdministratorsConcern(t *testing.T) {
	s, secrets := newSite(t), &safe{}
	admin := certOf(t, s.PKI.ClientCA, newKey(t), "me", adminGroup)
	want(t, "nothing is known", s.callAs(admin, http.MethodGet, wire.PathSecrets, nil), http.StatusNotFound, "nothing")
	s.Secrets = secrets
	want(t, "the state", s.callAs(admin, http.MethodGet, wire.PathSecrets, nil), http.StatusOK, `"keys":["key1"]`)
	want(t, "what is in force", s.callAs(admin, http.MethodGet, wire.PathSecretsLoaded+"?hash=x", nil), http.StatusOK, `{"hash":"not x","name":"pi"}`)
	w := s.callAs(admin, http.MethodPost, wire.PathSecrets, nil)
	if lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n"); w.Code != http.StatusOK || len(lines) != 2 || !w.Flushed || secrets.deadline ||
		!strings.Contains(lines[0], "key2") || lines[1] != `{"done":true}` {
		t.Errorf("%d %s, flushed %t, bounded in time %t", w.Code, w.Body, w.Flushed, secrets.deadline)
	}
	secrets.trouble = fault.New("change it").Because(errors.New("no")).Fix("say yes")
	want(t, "a rotation that cannot be", s.callAs(admin, http.MethodPost, wire.PathSecrets, nil), http.StatusOK, `{"trouble":"change it: no","cure":"say yes"}`)
	want(t, "a state that cannot be told", s.callAs(admin, http.MethodGet, wire.PathSecrets, nil), http.StatusServiceUnavailable, "log")
	s.starting = true
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		want(t, "the API server is starting", s.callAs(admin, method, wire.PathSecrets, nil), http.StatusServiceUnavailable, "starting")
	}
}
