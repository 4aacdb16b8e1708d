package run

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestRowsKeepTheTimeOfTheirState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rows Rows
		if told := rows.Details(); len(told) != 0 {
			t.Errorf("nothing was said, and told is %+v", told)
		}
		began := time.Now()
		rows.Set(Detail{Name: "b", State: "waiting"})
		rows.Set(Detail{Name: "a", State: "served"})
		time.Sleep(time.Minute)
		why := errors.New("no node")
		rows.Set(Detail{Name: "b", State: "waiting", Err: why})
		rows.Set(Detail{Name: "a", State: "refused", Bad: true})
		want := []Detail{
			{Name: "a", State: "refused", Bad: true, Since: began.Add(time.Minute)},
			{Name: "b", State: "waiting", Since: began, Err: why},
		}
		if told := rows.Details(); !slices.Equal(told, want) {
			t.Errorf("told %+v, want %+v", told, want)
		}
		rows.Drop("b", "served")
		if told := rows.Details(); len(told) != 2 {
			t.Errorf("b was dropped in another state: %+v", told)
		}
		rows.Drop("b", "served", "waiting")
		rows.Keep(func(name string) bool { return name != "a" })
		if told := rows.Details(); len(told) != 0 {
			t.Errorf("all went, and told is %+v", told)
		}
	})
}
