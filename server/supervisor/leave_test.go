package supervisor

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// door lets nobody in, and who leaves out as trouble says.
type door struct {
	trouble error
	left    string
}

func (d *door) Enter(context.Context, string, string) (wire.ServerEntered, error) {
	return wire.ServerEntered{}, d.trouble
}

func (d *door) Leave(_ context.Context, name string) error {
	d.left = name
	return d.trouble
}

func TestAnAdministratorTakesAServerOut(t *testing.T) {
	s, at := newSite(t), &door{}
	admin, somebody := certOf(t, s.PKI.ClientCA, newKey(t), "me", adminGroup), certOf(t, s.PKI.ClientCA, newKey(t), "me")
	want(t, "no cluster of servers", s.callAs(admin, http.MethodDelete, wire.PathMembers+"?name=b", nil), http.StatusConflict, "one server")
	s.Entry = at
	want(t, "somebody", s.callAs(somebody, http.MethodDelete, wire.PathMembers+"?name=b", nil), http.StatusForbidden, "")
	if at.left != "" {
		t.Error("anybody can take servers out")
	}
	want(t, "an administrator", s.callAs(admin, http.MethodDelete, wire.PathMembers+"?name=b", nil), http.StatusNoContent, "")
	if at.left != "b" {
		t.Errorf("%q left", at.left)
	}
	at.trouble = fault.New("remove the member b: its server runs").Fix("stop it")
	want(t, "what cannot be", s.callAs(admin, http.MethodDelete, wire.PathMembers+"?name=b", nil), http.StatusConflict, "runs; to cure: stop it")
	at.trouble = errors.New("in a moment")
	want(t, "what cannot be now", s.callAs(admin, http.MethodDelete, wire.PathMembers+"?name=b", nil), http.StatusServiceUnavailable, "log")
}
