package storage

import (
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// only gives the row of that name, when it is the only one and says why.
func only(s *Storage, name string) (d run.Detail, is bool) {
	rows := s.rows.Details()
	if len(rows) != 1 || rows[0].Name != name || rows[0].Err == nil || rows[0].Since.IsZero() {
		return run.Detail{}, false
	}
	return rows[0], true
}

func TestStatusTellsOfAClaimUntilItIsServed(t *testing.T) {
	s, client := start(t, class(), member("pi", core.ConditionUnknown), claim())
	eventually(t, "it waits for its node", func() bool {
		d, is := only(s, "web/data")
		return is && d.State == rowWaiting && !d.Bad
	})
	if _, err := client.CoreV1().Nodes().Update(t.Context(), member("pi", core.ConditionTrue), meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node is back", func() bool { return len(s.rows.Details()) == 0 })

	r := report()
	r.Trouble = "the disk is too small"
	if _, err := s.Report(t.Context(), "pi", r); err != nil {
		t.Fatal(err)
	}
	if d, is := only(s, "web/data"); !is || d.State != "refused" || d.Bad {
		t.Errorf("got %+v", s.rows.Details())
	}
	if err := client.CoreV1().PersistentVolumeClaims("web").Delete(t.Context(), "data", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nobody asks any more", func() bool { return len(s.rows.Details()) == 0 })
}

func TestStatusTellsOfADirectoryThatWillNotGo(t *testing.T) {
	v := madeBy("pi")
	v.Status.Phase = core.VolumeReleased
	s, client := start(t, class(), member("pi", core.ConditionTrue), v)
	_, order := toRemove(v)
	if _, err := s.Report(t.Context(), "pi", wire.VolumeReport{VolumeOrder: order, Trouble: "something is mounted"}); err != nil {
		t.Fatal(err)
	}
	if d, is := only(s, v.Name); !is || d.State != "not removed" || !d.Bad {
		t.Errorf("got %+v", s.rows.Details())
	}
	if _, err := s.Report(t.Context(), "pi", wire.VolumeReport{VolumeOrder: order}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return volume(t, client) == nil && len(s.rows.Details()) == 0 })
}
