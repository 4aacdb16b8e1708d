package log

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestHold(t *testing.T) {
	for name, c := range map[string]struct {
		release func(*Hold)
		want    bool
	}{
		"a good start forgets": {(*Hold).Forget, false},
		"a bad start tells":    {(*Hold).Tell, true},
	} {
		var out bytes.Buffer
		hold := &Hold{}
		log := slog.New(holding{hold, slog.NewTextHandler(&out, nil)}).With("service", "library")
		log.Error("early complaint")
		if out.Len() > 0 {
			t.Errorf("%s: written before it was known: %s", name, &out)
		}
		c.release(hold)
		log.Error("later complaint")
		if got := strings.Contains(out.String(), "early complaint"); got != c.want {
			t.Errorf("%s: early complaint written: %t", name, got)
		}
		if !strings.Contains(out.String(), `msg="later complaint" service=library`) {
			t.Errorf("%s: records do not pass afterwards: %s", name, &out)
		}
	}
}

func TestLastWordsAreNotHeld(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(holding{&Hold{}, slog.NewTextHandler(&out, nil)})
	log.Error("inotify_init: too many open files")
	log.Error("Failed to start cAdvisor") // the kubelet's next call is os.Exit
	for _, want := range []string{"too many open files", "Failed to start cAdvisor"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is lost; written: %s", want, &out)
		}
	}
}
