package progress

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestABarOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		d := New(&out)
		d.width = func() int { return 80 }
		b := d.Bar()
		b.Set("copying", 0, 200)
		b.Set("copying", 1, 200) // too soon to be drawn
		time.Sleep(time.Second)
		b.Set("copying", 100, 200)
		if _, last := screen(out.String()); last != "copying    [###############               ]  50 %" {
			t.Errorf("it shows %q", last)
		}
		b.Set("checking", 5, -1)
		if _, last := screen(out.String()); last != "checking ..." {
			t.Errorf("it shows %q", last)
		}
		b.End()
		if lines, last := screen(out.String()); last != "" || len(lines) > 0 {
			t.Errorf("it leaves %q and %q", lines, last)
		}
	})
}

func TestABarInAPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := New(&out).Bar()
		for i := range int64(100) {
			b.Set("copying", i, 100)
			time.Sleep(200 * time.Millisecond)
		}
		b.Set("checking", 1, 100)
		b.End()
		if got := out.String(); got != "copying ...\ncopying ...  50 %\nchecking ...\n" {
			t.Errorf("it says %q", got)
		}
	})
}
