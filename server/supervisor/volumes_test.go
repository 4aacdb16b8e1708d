package supervisor

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/wire"
)

// shelf is volumes whose orders name the node that asks.
type shelf struct {
	deadline bool // a list had to be sent within some time
	reported []string
}

func (s *shelf) Orders(ctx context.Context, node string, send func(wire.VolumeOrders) error) error {
	_, s.deadline = ctx.Deadline()
	one := wire.VolumeOrders{Orders: []wire.VolumeOrder{{Folder: "of-" + node}}}
	return errors.Join(send(one), send(wire.VolumeOrders{}))
}

func (s *shelf) Report(_ context.Context, node string, r wire.VolumeReport) (wire.VolumeAnswer, error) {
	s.reported = append(s.reported, node+" "+r.Folder)
	return wire.VolumeAnswer{Keep: true}, nil
}

func TestANodeHearsAndReportsOfItsOwnVolumes(t *testing.T) {
	s, volumes := newSite(t), &shelf{}
	key := newKey(t)
	s.record(t, "pi", key)
	cert := s.nodeCert(t, "pi", key)
	want(t, "switched off", s.callAs(cert, http.MethodGet, wire.PathVolumes, nil), http.StatusNotFound, "storage")
	s.Volumes = volumes
	w := s.callAs(cert, http.MethodGet, wire.PathVolumes, nil)
	if lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n"); w.Code != http.StatusOK || len(lines) != 2 || !strings.Contains(lines[0], "of-pi") || !w.Flushed || volumes.deadline {
		t.Errorf("%d %s, flushed %t, bounded in time %t", w.Code, w.Body, w.Flushed, volumes.deadline)
	}
	want(t, "a report", s.callAs(cert, http.MethodPost, wire.PathVolumes, []byte(`{"folder":"x"}`)), http.StatusOK, `{"keep":true}`)
	want(t, "nonsense", s.callAs(cert, http.MethodPost, wire.PathVolumes, []byte("x")), http.StatusBadRequest, "")
	want(t, "too much", s.callAs(cert, http.MethodPost, wire.PathVolumes, make([]byte, maxBody+1)), http.StatusRequestEntityTooLarge, "")
	s.addNode(t, "pi") // the name is this key's as long as the Node is there
	other := s.nodeCert(t, "pi", newKey(t))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		want(t, "a replaced machine", s.callAs(other, method, wire.PathVolumes, []byte("{}")), http.StatusConflict, "")
	}
	s.starting = true
	want(t, "the API server is starting", s.callAs(cert, http.MethodGet, wire.PathVolumes, nil), http.StatusServiceUnavailable, "starting")
	if len(volumes.reported) != 1 || volumes.reported[0] != "pi x" {
		t.Errorf("reported: %q", volumes.reported)
	}
}
