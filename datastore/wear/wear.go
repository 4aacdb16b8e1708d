package wear

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/skerry-io/skerry/internal/durable"
)

// kept is how many days are remembered.
const kept = 30

// Meter counts bytes by the day, in the time zone of the machine. A nil one counts nothing.
type Meter struct {
	path string
	now  func() time.Time

	mu   sync.Mutex // guards what follows
	days map[string]int64
}

// Open reads what was counted before.
func Open(path string) *Meter {
	m := &Meter{path: path, now: time.Now}
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &m.days) != nil || m.days == nil {
		m.days = map[string]int64{}
	}
	return m
}

// Add counts so many bytes for today.
func (m *Meter) Add(bytes int64) {
	if m == nil || bytes <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.days[m.now().Format(time.DateOnly)] += bytes
	for len(m.days) > kept {
		delete(m.days, slices.Min(slices.Collect(maps.Keys(m.days))))
	}
}

// Save writes the count down. It is called where something is synced to disk anyway.
func (m *Meter) Save() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	text, err := json.Marshal(m.days)
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return durable.WriteFile(m.path, append(text, '\n'), 0o600)
}

// Count is what was counted.
type Count struct {
	Today  int64
	PerDay int64 // the mean of the days that are over; of today, as if it went on like this, when there is no other
	Days   int   // how many days PerDay is the mean of, 0 with none that is over
}

// Count gives the bytes of today and of a day.
func (m *Meter) Count() (c Count) {
	if m == nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	today := now.Format(time.DateOnly)
	c.Today = m.days[today]
	first, total := now, int64(0)
	for day, bytes := range m.days {
		at, err := time.ParseInLocation(time.DateOnly, day, now.Location())
		if err != nil || day >= today { // a clock that stood wrong
			continue
		}
		if total += bytes; at.Before(first) {
			first = at
		}
	}
	midnight := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	if c.Days = int(midnight.Sub(first).Hours()/24 + 0.5); c.Days > 0 { // days without a write count as well
		c.PerDay = total / int64(c.Days)
		return c
	}
	c.Days = 0
	if passed := now.Sub(midnight); passed > 0 {
		c.PerDay = int64(float64(c.Today) * float64(24*time.Hour) / float64(max(passed, time.Hour)))
	}
	return c
}
