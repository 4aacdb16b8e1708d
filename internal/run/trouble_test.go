package run

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTroubleLastsFromTheFirstErrorToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trouble := Trouble{Name: "cable"}
		g := mustGroup(t, Service{Name: "a", Run: nil, Details: trouble.Details}, Service{Name: "b"})
		if told := g.Details(); len(told) != 0 {
			t.Errorf("without trouble: %+v", told)
		}
		began := time.Now()
		trouble.Set(errors.New("one"))
		time.Sleep(time.Minute)
		second := errors.New("two")
		trouble.Set(second)
		want := Detail{Name: "cable", State: "trying", Bad: true, Since: began, Err: second}
		if told := g.Details()["a"]; len(told) != 1 || told[0] != want {
			t.Errorf("got %+v, want %+v", told, want)
		}
		trouble.Set(nil)
		if told := g.Details(); len(told) != 0 {
			t.Errorf("afterwards: %+v", told)
		}
	})
}
