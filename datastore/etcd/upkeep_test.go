package etcd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// fat writes and compacts away so many values of a megabyte.
func fat(t *testing.T, m *running, megabytes int) error {
	t.Helper()
	value := strings.Repeat("x", 1_000_000)
	for range megabytes {
		if _, err := m.c.Put(t.Context(), "/registry/fat", value); err != nil {
			return err
		}
	}
	_, err := m.c.Compact(t.Context(), put(t, m.c, "/registry/fat", "thin"))
	return err
}

// until waits for something that comes to be.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	end := time.Now().Add(most)
	for !is() {
		if time.Now().After(end) || !wait(t.Context(), 100*time.Millisecond) {
			t.Fatalf("%s: not within %s", what, most)
		}
	}
}

func TestFreeSpaceIsGivenBack(t *testing.T) {
	t.Parallel()
	c := newSite(t).member(1)
	c.Tuning.Upkeep, c.Tuning.Free = 500*time.Millisecond, 8<<20
	one := run(t, c).up()
	if err := fat(t, one, 30); err != nil {
		t.Fatal(err)
	}
	until(t, "the database shrinks", func() bool {
		put(t, one.c, "/registry/thin", "1") // what a batch frees is counted with the next one
		s, err := one.Status(t.Context())
		return err == nil && s.Size < 4<<20
	})
	if got := value(t, one.c, "/registry/fat"); got != "thin" {
		t.Errorf("got %q", got)
	}
	until(t, "the turn is given back", func() bool { return value(t, one.c, turnKey) == "(none)" })
}

// A database that has reached its quota refuses writes, and takes them again by itself once there is room.
func TestAFullDatabase(t *testing.T) {
	t.Parallel()
	c := newSite(t).member(1)
	c.Tuning.Upkeep, c.Tuning.Free, c.Tuning.Quota = 500*time.Millisecond, 4<<20, 16<<20
	one := run(t, c).up()
	value, last, revision := strings.Repeat("x", 1_000_000), error(nil), int64(0)
	for end := time.Now().Add(most); time.Now().Before(end) && wait(t.Context(), 200*time.Millisecond); {
		answer, err := one.c.Put(t.Context(), "/registry/fat", value)
		if last = err; err != nil {
			break
		}
		revision = answer.Header.Revision
	}
	if last == nil || !strings.Contains(last.Error(), "space exceeded") {
		t.Fatalf("got %v", last)
	}
	if s, err := one.Status(t.Context()); err != nil || len(s.Alarms) == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, to := range []int64{revision - 1, revision} { // twice, as what one frees is counted with the next batch, and nothing else is written
		if _, err := one.c.Compact(t.Context(), to, clientv3.WithCompactPhysical()); err != nil {
			t.Fatal(err)
		}
		one.etcd.Server.Backend().ForceCommit()
	}
	until(t, "writes are taken again", func() bool {
		_, err := one.c.Put(t.Context(), "/registry/thin", "1")
		return err == nil
	})
}

// Only one member at a time writes its database anew.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	one := run(t, newSite(t).member(1)).up()
	done := 0
	err := one.inTurn(t.Context(), func(ctx context.Context) error {
		return one.inTurn(ctx, func(context.Context) error {
			done++
			return nil
		})
	})
	if err != nil || done != 0 {
		t.Errorf("%d at the same time: %v", done, err)
	}
	if err := one.inTurn(t.Context(), func(context.Context) error { done++; return nil }); err != nil || done != 1 {
		t.Errorf("%d: %v", done, err)
	}
}

// When etcd would end the process, Run says why instead.
func TestEtcdGivesUp(t *testing.T) {
	t.Parallel()
	one := run(t, newSite(t).member(1)).up()
	go func() {
		one.etcd.GetLogger().Fatal("failed to save Raft hard state and entries", zap.Error(errors.New("no space left on device")))
		t.Error("what comes after the end is done")
	}()
	refusal(t, one.over(), "hard state", "no space left", one.config.Dir)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	log := logger(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})), func(error) {})
	log.Named("raft").With(zap.Int("a", 1)).Info("by the way", zap.Duration("took", time.Second))
	for i := range 3 {
		log.Warn("prober detected unhealthy status", zap.Int("try", i))
	}
	log.Error("it is broken", zap.Error(errors.New("why")))
	log.Error("setting up serving from embedded etcd failed.")
	log.Debug("noise")
	log.Warn("I am not what you think")
	for want, times := range map[string]int{
		`level=DEBUG msg="etcd: by the way" a=1 took=1s`:                1,
		`level=WARN msg="etcd: prober detected unhealthy status" try=0`: 1,
		`level=ERROR msg="etcd: it is broken" error=why`:                1,
		`level=DEBUG msg="etcd: setting up serving`:                     1,
		"noise":                           0,
		`level=DEBUG msg="etcd: I am not`: 1,
	} {
		if got := strings.Count(text.String(), want); got != times {
			t.Errorf("%d times %q, want %d, in\n%s", got, want, times, text.String())
		}
	}

}
