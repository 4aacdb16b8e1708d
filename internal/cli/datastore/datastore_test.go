package datastore

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/status"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.Local)

// shown is what is printed of what a process says.
func shown(t *testing.T, d *status.Datastore, flags command.DatastoreStatus) (string, error) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	board := status.NewBoard(status.Process{Role: "server"})
	if d != nil {
		board.Store(func() *status.Datastore { return d })
	}
	opened, err := status.Open(socket, board)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = opened.Close() }()
	var out strings.Builder
	err = show(t.Context(), &out, socket, flags, noon)
	return out.String(), err
}

func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		d     status.Datastore
		flags command.DatastoreStatus
		want  string
	}{
		"sqlite": {status.Datastore{Engine: "sqlite", Place: "/db", Size: 12_345_678, Revision: 4711, Compacted: 4000, Keys: 900,
			Written: &status.Written{Today: 1_500_000, PerDay: 30_000_000, Days: 12}, Snapshot: noon.Add(-90 * time.Minute),
			Backup: &status.Backup{At: noon.Add(-24 * time.Hour), Place: "/b/x.skerry", Size: 2000, Failure: "the disk is full"}},
			command.DatastoreStatus{Endurance: "30TBW"}, `
engine:            sqlite
place:             /db
size:              12.3 MB
keys:              900
revision:          4711, compacted up to 4000
written today:     1.5 MB
written a day:     30.0 MB, the mean of 12 days
life of the card:  more than a thousand years, at 30.0 TB in all
last snapshot:     2026-11-21 10:30:00, 1h30m0s ago
last backup:       2026-11-20 12:00:00, 24h0m0s ago, 2.0 kB, /b/x.skerry; the next one went wrong: the disk is full
`},
		"a new one": {status.Datastore{Engine: "sqlite", Place: "/db", Size: 10, Written: &status.Written{}}, command.DatastoreStatus{Endurance: "1gb"}, `
engine:            sqlite
place:             /db
size:              10 B
keys:              0
revision:          0
written today:     0 B
written a day:     0 B, if today goes on like this
life of the card:  not known: nothing was written yet
last snapshot:     never
last backup:       never
`},
		"a busy one": {status.Datastore{Engine: "sqlite", Written: &status.Written{PerDay: 1_500_000_000, Days: 1}}, command.DatastoreStatus{Endurance: "1.5 TBW"}, `
engine:            sqlite
place:             
size:              0 B
keys:              0
revision:          0
written today:     0 B
written a day:     1.5 GB, by one day
life of the card:  about 2 years, at 1.5 TB in all
last snapshot:     never
last backup:       never
`},
		"etcd": {status.Datastore{Engine: "etcd", Place: "/etcd", Size: 1e6, Revision: 5, Keys: 2, Members: []status.Member{
			{Name: "a", URL: "https://10.0.0.1:2379", Leads: true}, {Name: "b", URL: "https://10.0.0.2:2379"}, {Name: "c", Learner: true}}},
			command.DatastoreStatus{}, `
engine:       etcd
place:        /etcd
size:         1.0 MB
keys:         2
revision:     5
written:      not counted: it is not this server that writes, or etcd does
last backup:  never

MEMBER  ADDRESS                DOES
a       https://10.0.0.1:2379  leads
b       https://10.0.0.2:2379  follows
c                              learns
`},
		"etcd alone": {status.Datastore{Engine: "etcd", Place: "/etcd", Members: []status.Member{{Name: "a", URL: "https://10.0.0.1:2379", Leads: true}}}, command.DatastoreStatus{}, `
engine:         etcd
place:          /etcd
size:           0 B
keys:           0
revision:       0
written:        not counted: it is not this server that writes, or etcd does
last snapshot:  never
last backup:    never

MEMBER  ADDRESS                DOES
a       https://10.0.0.1:2379  leads
`},
	} {
		got, err := shown(t, &c.d, c.flags)
		if err != nil || got != strings.TrimPrefix(c.want, "\n") {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, c.want)
		}
	}
}

func TestADatastoreThatDoesNotAnswer(t *testing.T) {
	got, err := shown(t, &status.Datastore{Engine: "postgres", Place: "postgres at h/db", Error: "refused"}, command.DatastoreStatus{})
	var quiet command.Quiet
	if !errors.As(err, &quiet) || !strings.Contains(got, "trouble:") || strings.Contains(got, "size:") {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestJSON(t *testing.T) {
	got, err := shown(t, &status.Datastore{Engine: "sqlite", Revision: 7, Written: &status.Written{PerDay: 1e9, Days: 3}}, command.DatastoreStatus{Output: "json", Endurance: "1TB"})
	var a struct {
		Engine   string
		Revision int64
		Written  struct{ PerDay int64 }
		Card     struct{ Endurance, Days int64 }
	}
	if err != nil || json.Unmarshal([]byte(got), &a) != nil || a.Engine != "sqlite" || a.Revision != 7 || a.Written.PerDay != 1e9 || a.Card.Days != 1000 || a.Card.Endurance != 1e12 {
		t.Errorf("%v\n%s", err, got)
	}
}

func TestWhatCannotBeTold(t *testing.T) {
	var told *fault.Fault
	if _, err := shown(t, nil, command.DatastoreStatus{}); !errors.As(err, &told) || told.Cure() == "" {
		t.Errorf("no server: %v", err)
	}
	for _, text := range []string{"30", "TBW", "-1TB", "0GB", "1e30TB", "x GB", "NaNTB", "3KB"} {
		if _, err := shown(t, &status.Datastore{}, command.DatastoreStatus{Endurance: text}); !errors.As(err, &told) || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
	var out strings.Builder
	if err := show(t.Context(), &out, filepath.Join(t.TempDir(), "none"), command.DatastoreStatus{}, noon); !errors.As(err, &told) || told.Cure() == "" {
		t.Errorf("nothing runs: %v", err)
	}
}
