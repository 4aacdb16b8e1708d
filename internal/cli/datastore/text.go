package datastore

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/status"
)

// text is for people: a line for each thing that is known.
func (a answer) text(now time.Time) string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	line := func(name, value string) { fmt.Fprintf(w, "%s:\t%s\n", name, value) }
	line("engine", a.Engine)
	line("place", a.Place)
	if a.Error != "" {
		line("trouble", a.Error)
	} else {
		line("size", cluster.Size(a.Size))
		line("keys", strconv.FormatInt(a.Keys, 10))
		revisions := strconv.FormatInt(a.Revision, 10)
		if a.Compacted > 0 {
			revisions += fmt.Sprintf(", compacted up to %d", a.Compacted)
		}
		line("revision", revisions)
	}
	a.wear(line)
	if a.Engine == "sqlite" || len(a.Members) == 1 && filepath.IsAbs(a.Place) { // a member of our own that is alone has snapshots, too
		line("last snapshot", ago(a.Snapshot, now))
	}
	line("last backup", a.backup(now))
	if err := w.Flush(); err != nil {
		return err.Error() // a strings.Builder takes everything
	}
	return out.String() + members(a.Members)
}

// wear tells what is written, and what that means for a card.
func (a answer) wear(line func(name, value string)) {
	if a.Written == nil {
		line("written", "not counted: it is not this server that writes, or etcd does")
	} else {
		line("written today", cluster.Size(a.Written.Today))
		switch a.Written.Days {
		case 0:
			line("written a day", cluster.Size(a.Written.PerDay)+", if today goes on like this")
		case 1:
			line("written a day", cluster.Size(a.Written.PerDay)+", by one day")
		default:
			line("written a day", fmt.Sprintf("%s, the mean of %d days", cluster.Size(a.Written.PerDay), a.Written.Days))
		}
	}
	switch {
	case a.Card == nil:
	case a.Card.Days == 0:
		line("life of the card", "not known: nothing was written yet")
	default:
		line("life of the card", fmt.Sprintf("%s, at %s in all", span(a.Card.Days), cluster.Size(a.Card.Endurance)))
	}
}

func (a answer) backup(now time.Time) string {
	if a.Backup == nil {
		return "never"
	}
	text := ago(a.Backup.At, now)
	if !a.Backup.At.IsZero() {
		text += fmt.Sprintf(", %s, %s", cluster.Size(a.Backup.Size), a.Backup.Place)
	}
	if a.Backup.Failure != "" {
		text += "; the next one went wrong: " + a.Backup.Failure
	}
	return text
}

func members(all []status.Member) string {
	if len(all) == 0 {
		return ""
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nMEMBER\tADDRESS\tDOES")
	for _, m := range all {
		does := "follows"
		switch {
		case m.Learner:
			does = "learns"
		case m.Leads:
			does = "leads"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", m.Name, m.URL, does)
	}
	if err := w.Flush(); err != nil {
		return err.Error()
	}
	return out.String()
}

// span is a number of days in words.
func span(days int64) string {
	switch {
	case days >= longestLife:
		return "more than a thousand years"
	case days >= 2*365:
		return fmt.Sprintf("about %d years", days/365)
	}
	return fmt.Sprintf("about %d days", days)
}

// ago is how long something is past.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return at.Local().Format(time.DateTime) + ", " + now.Sub(at).Round(time.Minute).String() + " ago"
}
