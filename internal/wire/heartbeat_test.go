package wire_test

import (
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
)

func TestHeartbeatsAreShort(t *testing.T) {
	h := wire.Heartbeat{RenewTime: time.Date(2026, 11, 21, 17, 0, 0, 123456000, time.UTC), Version: 1_000_000}
	word := h.Word()
	got, err := wire.ReadHeartbeat(word)
	if err != nil || !got.RenewTime.Equal(h.RenewTime) || got.Version != h.Version {
		t.Errorf("%v, %v", got, err)
	}
	if len(word) > 12 {
		t.Errorf("it has %d bytes", len(word))
	}
	for cut := range len(word) {
		if _, err := wire.ReadHeartbeat(word[:cut]); err == nil {
			t.Errorf("%d bytes of it are taken for a whole one", cut)
		}
	}
	for _, other := range [][]byte{nil, {2, 1, 1}, append(word, 0), {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		if _, err := wire.ReadHeartbeat(other); err == nil {
			t.Errorf("%x is taken for one", other)
		}
	}
}

func TestAnAnswerIsAVersionOrARefusal(t *testing.T) {
	if version, renewed := wire.ReadRenewed(wire.Renewed(1_000_000)); version != 1_000_000 || !renewed {
		t.Errorf("%d, %t", version, renewed)
	}
	for _, other := range [][]byte{nil, {}, {0x80}, {1, 1}} {
		if _, renewed := wire.ReadRenewed(other); renewed {
			t.Errorf("%x is taken for one", other)
		}
	}
}
