package idle

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func slackOf(t *testing.T, thread string) string {
	t.Helper()
	text, err := os.ReadFile("/proc/" + thread + "/timerslack_ns")
	if err != nil {
		t.Skipf("the timer slack of a thread cannot be read here: %v", err)
	}
	return strings.TrimSpace(string(text))
}

func TestLateTimers(t *testing.T) {
	all, err := threads()
	if err != nil || len(all) < 2 {
		t.Fatalf("threads %v, %v", all, err)
	}
	exact := slackOf(t, all[sysmon])
	if err := LateTimers(); err != nil {
		t.Skipf("the timer slack cannot be set here: %v", err)
	}
	if got := slackOf(t, all[0]); got != strconv.FormatInt(Slack.Nanoseconds(), 10) {
		t.Errorf("the first thread may be late by %s ns", got)
	}
	if got := slackOf(t, all[sysmon]); got != exact {
		t.Errorf("the monitor may be late by %s ns", got)
	}
	began := time.Now()
	<-time.After(10 * time.Millisecond)
	if took := time.Since(began); took > 10*time.Millisecond+10*Slack {
		t.Errorf("a timer of 10 ms took %s", took)
	}
}

// While there is work, Go's monitor sleeps for a moment again and again; the thread at its place is the one that does.
func TestTheMonitorIsWhereItIsExpected(t *testing.T) {
	all, err := threads()
	if err != nil {
		t.Fatal(err)
	}
	sleeps := func(thread string) int {
		seen := 0
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); { // busy, so that there is something to watch
			if at, err := os.ReadFile("/proc/self/task/" + thread + "/wchan"); err != nil {
				t.Skipf("where a thread waits cannot be read here: %v", err)
			} else if strings.Contains(string(at), "nanosleep") {
				seen++
			}
		}
		return seen
	}
	if monitor, first := sleeps(all[sysmon]), sleeps(all[0]); monitor <= first {
		t.Errorf("the second thread was seen asleep %d times, the first %d times", monitor, first)
	}
}
