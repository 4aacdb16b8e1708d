package wear

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// at is a meter whose clock stands where the test wants it.
func at(t *testing.T, path, now string) *Meter {
	t.Helper()
	m := Open(path)
	when, err := time.ParseInLocation(time.DateTime, now, time.Local)
	if err != nil {
		t.Fatal(err)
	}
	m.now = func() time.Time { return when }
	return m
}

func TestDaysAreCountedAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "written")
	m := at(t, path, "2026-11-20 12:00:00")
	m.Add(100)
	m.Add(-5)
	if c := m.Count(); c != (Count{Today: 100, PerDay: 200}) {
		t.Errorf("half a day of the first day: %+v", c)
	}
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	m = at(t, path, "2026-11-22 01:00:00") // nothing on the 21st
	m.Add(7)
	if c := m.Count(); c != (Count{Today: 7, PerDay: 50, Days: 2}) {
		t.Errorf("two days later: %+v", c)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestOnlyTheLastDaysAreRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "written")
	m := at(t, path, "2026-01-01 12:00:00")
	day := m.now()
	for range 100 {
		m.Add(10)
		day = day.AddDate(0, 0, 1)
		m.now = func() time.Time { return day }
	}
	if c := m.Count(); len(m.days) != kept || c.PerDay != 10 || c.Today != 0 {
		t.Errorf("%d days: %+v", len(m.days), c)
	}
}

func TestAClockThatWasWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "written")
	m := at(t, path, "2033-05-05 12:00:00")
	m.Add(1000)
	if err := m.Save(); err != nil {
		t.Fatal(err)
	}
	m = at(t, path, "2026-11-20 12:00:00")
	m.Add(10)
	if c := m.Count(); c != (Count{Today: 10, PerDay: 20}) {
		t.Errorf("a day of the future counts: %+v", c)
	}
}

func TestADamagedFileCountsAsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "written")
	for _, text := range []string{"", "{", "null", "[1]", `{"2026-11-20":"x"}`, strings.Repeat("x", 10)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m := Open(path)
		m.Add(1)
		if c := m.Count(); c.Today != 1 {
			t.Errorf("%q: %+v", text, c)
		}
	}
	var none *Meter
	none.Add(1)
	if c := none.Count(); c.Today != 0 || none.Save() != nil {
		t.Errorf("no meter counts %+v", c)
	}
}
