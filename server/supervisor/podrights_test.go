package supervisor

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
)

// rights name the node that asks, what it has, and whether it has to be told within some time; between comes before a second text.
type rights struct{ between func() }

func (r rights) Tell(ctx context.Context, node, have string, send func([]byte) error) error {
	one := "rights of " + node + " who has " + have
	if _, bounded := ctx.Deadline(); bounded {
		one += ", in a hurry"
	}
	err := send([]byte(one))
	if r.between != nil {
		r.between()
	}
	return errors.Join(err, send([]byte("more")))
}

func TestANodeHearsOfItsOwnPodsRights(t *testing.T) {
	s, key := newSite(t), newKey(t)
	cert := s.nodeCert(t, "pi", key)
	path := wire.PathPodRights + "?have=ab"
	want(t, "nobody's key", s.callAs(cert, http.MethodGet, path, nil), http.StatusForbidden, "no key is recorded")
	s.record(t, "pi", key)
	s.addNode(t, "pi")
	w := s.callAs(cert, http.MethodGet, path, nil)
	if lines := strings.Split(w.Body.String(), "\n"); w.Code != http.StatusOK || !w.Flushed || len(lines) != 3 || lines[0] != "rights of pi who has ab" || lines[1] != "more" {
		t.Errorf("%d %q, flushed %t", w.Code, w.Body, w.Flushed)
	}
	// Who may call is told by TestWhoMayCallWhat; a name in the question is not looked at.
	want(t, "another's name", s.callAs(cert, http.MethodGet, path+"&node=other", nil), http.StatusOK, "rights of pi ")
	want(t, "a replaced machine", s.callAs(s.nodeCert(t, "pi", newKey(t)), http.MethodGet, path, nil), http.StatusConflict, "pi")
	s.Rights = rights{between: func() {
		if err := nodes.Forget(t.Context(), s.api, "pi"); err != nil {
			t.Fatal(err)
		}
	}}
	if w = s.callAs(cert, http.MethodGet, path, nil); w.Body.String() != "rights of pi who has ab\n" {
		t.Errorf("a machine that was given up meanwhile hears %q", w.Body)
	}
	s.starting = true
	want(t, "the API server is starting", s.callAs(cert, http.MethodGet, path, nil), http.StatusServiceUnavailable, "starting")
}
