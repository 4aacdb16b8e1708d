package status

import (
	"strconv"
	"time"
)

// Datastore is what a server's datastore knows of itself. Its JSON names are part of the interface.
type Datastore struct {
	Engine string `json:"engine"` // sqlite, etcd, postgres or mysql
	Place  string `json:"place"`  // the directory, or where others run it
	// Size is what it takes on a disk, in bytes; with several members, of one of them.
	Size      int64     `json:"size"`
	Revision  int64     `json:"revision"`
	Compacted int64     `json:"compacted,omitempty"` // the past before it is gone; 0 where it is not known
	Keys      int64     `json:"keys"`
	Written   *Written  `json:"written,omitempty"` // absent where nobody counts
	Snapshot  time.Time `json:"snapshot,omitzero"` // when the last one was made
	Backup    *Backup   `json:"backup,omitempty"`  // the last one; absent without one
	Members   []Member  `json:"members,omitempty"` // of etcd inside the servers
	Error     string    `json:"error,omitempty"`   // why the rest is not known
}

// Written is what a datastore has written to this machine's disk, in bytes.
type Written struct {
	Today  int64 `json:"today"`
	PerDay int64 `json:"perDay"` // the mean of the days that are over, 30 at most; without one, today as if it went on like this
	Days   int   `json:"days"`   // of these
}

// Backup is how the last backup went.
type Backup struct {
	At    time.Time `json:"at"`
	Place string    `json:"place"`
	Size  int64     `json:"size"`
	// Failure says why the one after it went wrong; "" when none did.
	Failure string `json:"failure,omitempty"`
}

// Member is one of etcd's.
type Member struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Leads   bool   `json:"leads,omitempty"`
	Learner bool   `json:"learner,omitempty"`
}

// Store says how the process's datastore is asked; it may take a moment.
func (b *Board) Store(ask func() *Datastore) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store = ask
}

// Whole is Report with what has to be asked for.
func (b *Board) Whole() Report {
	r := b.Report()
	b.mu.Lock()
	ask := b.store
	b.mu.Unlock()
	if ask != nil {
		r.Datastore = ask()
	}
	return r
}

// datastore are the numbers of a datastore that answers.
func (e *exposition) datastore(d *Datastore) {
	one := func(name, help string, value int64) {
		e.family(name, "gauge", help)
		e.sample(name, strconv.FormatInt(value, 10))
	}
	e.family("skerry_datastore_info", "gauge", "Which datastore it is; always 1.")
	e.sample("skerry_datastore_info", "1", "engine", d.Engine, "place", d.Place)
	e.family("skerry_datastore_up", "gauge", "Whether the datastore answers.")
	e.sample("skerry_datastore_up", flag(d.Error == ""))
	if d.Error == "" {
		one("skerry_datastore_size_bytes", "What the datastore takes on a disk.", d.Size)
		one("skerry_datastore_revision", "The revision of the last change.", d.Revision)
		one("skerry_datastore_compacted_revision", "The past before this revision is gone.", d.Compacted)
		one("skerry_datastore_keys", "How many keys there are.", d.Keys)
	}
	if d.Written != nil {
		one("skerry_datastore_written_today_bytes", "What the datastore has written to this machine's disk since midnight.", d.Written.Today)
		one("skerry_datastore_written_per_day_bytes", "What it writes on a day, as the mean of the last ones.", d.Written.PerDay)
	}
	if !d.Snapshot.IsZero() {
		one("skerry_datastore_snapshot_time_seconds", "When the last snapshot was made, in Unix time.", d.Snapshot.Unix())
	}
	if d.Backup != nil && !d.Backup.At.IsZero() {
		one("skerry_backup_time_seconds", "When the last backup was made, in Unix time.", d.Backup.At.Unix())
		one("skerry_backup_size_bytes", "What it takes.", d.Backup.Size)
	}
	if d.Backup != nil {
		e.family("skerry_backup_ok", "gauge", "Whether the newest attempt at a backup went well.")
		e.sample("skerry_backup_ok", flag(d.Backup.Failure == ""))
	}
}
