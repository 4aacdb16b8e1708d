package secrets

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/storage/value"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/wire"
)

// write has some writers change, make and remove Secrets until the returned function is called.
func (s *site) write(t *testing.T, by func() *Secrets) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	own := rand.IntN(1 << 30) // nobody else writes the same Secrets: of two writes at once none is known to be the last
	for w := range 4 {
		writing.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name, text := fmt.Sprintf("written-%d-%d-%d", own, w, rand.IntN(20)), fmt.Sprintf("%d of %d", i, w)
				if err := s.put(context.WithoutCancel(ctx), by(), name, text); err != nil {
					t.Errorf("write %s: %v", name, err)
					return
				}
			}
		})
	}
	stop = func() {
		cancel()
		writing.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func TestARotationUnderWritersLosesNothing(t *testing.T) {
	s := newSite(t)
	renewed := 0
	secrets := s.open(t, func(c *Config) { c.Renew = func(context.Context) error { renewed++; return nil } })
	running(t, secrets)
	s.fill(t, secrets, 150)
	old := secrets.keys.writes()
	stop := s.write(t, func() *Secrets { return secrets })
	var stages []string
	rewritten := 0
	if err := secrets.Rotate(t.Context(), func(p wire.SecretsProgress) {
		stages = append(stages, p.Stage)
		rewritten = max(rewritten, p.Rewritten)
	}); err != nil {
		t.Fatal(err)
	}
	stop()
	k, _ := secrets.current()
	if k.writes() == old || len(k.all) != 1 || renewed != 1 || rewritten < 150 {
		t.Errorf("the keys are %q, snapshots were renewed %d times, %d Secrets rewritten, in stages %q", k.names(), renewed, rewritten, stages)
	}
	s.check(t, secrets, k.writes())
	s.check(t, s.open(t, nil), k.writes()) // after a restart
	status, err := secrets.Status(t.Context())
	if err != nil || !status.Enabled || status.Stored[k.writes()] != len(s.known) || len(status.Stored) != 1 || status.Stage != wire.SecretsSteady || status.Trouble != "" {
		t.Errorf("%+v, %v", status, err)
	}
}

// TestACrashAtEachStep: whatever a rotation was cut off at, the next start reads everything, and ends the rotation.
func TestACrashAtEachStep(t *testing.T) {
	for _, point := range []string{"secrets/kept", "secrets/shared", "secrets/added", "secrets/promoted", "secrets/page", "secrets/rewritten", "secrets/renewed"} {
		for visit := 1; visit <= 3; visit++ {
			t.Run(fmt.Sprintf("%s %d", strings.ReplaceAll(point, "/", " "), visit), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				before := s.open(t, nil)
				s.fill(t, before, 3*page)
				cut := s.cutOff(t, point, visit)
				if !cut {
					t.Skip("it does not come there so often")
				}
				after := s.open(t, nil)
				s.check(t, after)
				stop := s.write(t, func() *Secrets { return after })
				if err := after.settle(t.Context()); err != nil {
					t.Fatal(err)
				}
				stop()
				k, _ := after.current()
				if k.stage() != wire.SecretsSteady {
					t.Errorf("the keys are %q", k.names())
				}
				s.check(t, after, k.writes())
			})
		}
	}
}

// cutOff begins a rotation that ends at a point as the process would.
func (s *site) cutOff(t *testing.T, point string, visit int) (cut bool) {
	t.Helper()
	visits := 0
	crash := errors.New("crash")
	secrets := s.open(t, func(c *Config) {
		c.Failpoint = func(name string) {
			if name != point {
				return
			}
			if visits++; visits == visit {
				panic(crash)
			}
		}
	})
	defer func() {
		if r := recover(); r != nil && r != any(crash) {
			panic(r)
		} else if r != nil {
			cut = true
		}
	}()
	if err := secrets.rotate(t.Context(), func(wire.SecretsProgress) {}); err != nil {
		t.Fatal(err)
	}
	return false
}

// TestAWriteThatIsUnderWayIsWaitedFor: its value is made with the former key and stored when all others are rewritten.
func TestAWriteThatIsUnderWayIsWaitedFor(t *testing.T) {
	s := newSite(t)
	secrets := s.open(t, nil)
	running(t, secrets)
	s.fill(t, secrets, 3)
	request, end := context.WithCancel(t.Context())
	stored, err := secrets.stored.TransformToStorage(request, []byte("late"), value.DefaultContext(keyOf("late")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- secrets.Rotate(t.Context(), func(wire.SecretsProgress) {}) }()
	select {
	case err := <-done:
		t.Fatalf("the rotation did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if _, err := s.client.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision(keyOf("late")), "=", 0)).Then(clientv3.OpPut(keyOf("late"), string(stored))).Commit(); err != nil {
		t.Fatal(err)
	}
	s.known["late"] = "late"
	end()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	k, _ := secrets.current()
	s.check(t, secrets, k.writes())
}

// TestSecretsFollowTheSetting: an older cluster's are encrypted, and one that switches it off has them plain again.
func TestSecretsFollowTheSetting(t *testing.T) {
	s := newSite(t)
	for i := range 2*page + 5 {
		name, text := fmt.Sprintf("older-%d", i), fmt.Sprintf("plain %d", i)
		if _, err := s.client.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision(keyOf(name)), "=", 0)).Then(clientv3.OpPut(keyOf(name), text)).Commit(); err != nil {
			t.Fatal(err)
		}
		s.known[name] = text
	}
	for _, enabled := range []bool{true, false, true} {
		secrets := s.open(t, func(c *Config) { c.Enabled = enabled })
		s.check(t, secrets)
		if err := s.put(t.Context(), secrets, "of this life", fmt.Sprint(enabled)); err != nil {
			t.Fatal(err)
		}
		stop := s.write(t, func() *Secrets { return secrets })
		if err := secrets.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		k, _ := secrets.current()
		if (k.writes() != wire.SecretsPlain) != enabled {
			t.Errorf("with %t it writes with %s", enabled, k.writes())
		}
		s.check(t, secrets, k.writes())
		if status, err := secrets.Status(t.Context()); err != nil || status.Enabled != enabled || status.Stored[k.writes()] != len(s.known) {
			t.Errorf("%+v, %v", status, err)
		}
	}
	secrets := s.open(t, func(c *Config) { c.Enabled = false })
	running(t, secrets)
	var told *fault.Fault
	if err := secrets.Rotate(t.Context(), func(wire.SecretsProgress) {}); !errors.As(err, &told) || !strings.Contains(told.Cure(), "secrets-encryption") {
		t.Errorf("a rotation without encryption: %v", err)
	}
}

// TestASwitchOffInTheMiddleOfARotation keeps both keys, and the next rotation ends what was begun.
func TestASwitchOffInTheMiddleOfARotation(t *testing.T) {
	for _, point := range []string{"secrets/added", "secrets/page"} {
		s := newSite(t)
		s.fill(t, s.open(t, nil), 2*page)
		if !s.cutOff(t, point, 1) {
			t.Fatal("it did not come there")
		}
		off := s.open(t, func(c *Config) { c.Enabled = false })
		s.check(t, off)
		if err := off.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.check(t, off, wire.SecretsPlain)
		on := s.open(t, nil)
		if err := on.settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		k, _ := on.current()
		s.check(t, on, k.writes())
		if len(k.all) != 1 {
			t.Errorf("the keys are %q", k.names())
		}
	}
}

func TestASecretThatNobodyCanReadKeepsTheFormerKey(t *testing.T) {
	s := newSite(t)
	rows := &run.Rows{}
	secrets := s.open(t, func(c *Config) { c.Rows = rows })
	running(t, secrets)
	s.fill(t, secrets, 3)
	lost := firstKeys().transformer()
	stored, err := lost.TransformToStorage(t.Context(), []byte("x"), value.DefaultContext(keyOf("lost")))
	if err != nil {
		t.Fatal(err)
	}
	put, err := s.client.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision(keyOf("lost")), "=", 0)).Then(clientv3.OpPut(keyOf("lost"), string(stored))).Commit()
	if err != nil {
		t.Fatal(err)
	}
	var told *fault.Fault
	if err := secrets.Rotate(t.Context(), func(wire.SecretsProgress) {}); !errors.As(err, &told) || !strings.Contains(err.Error(), "default/lost") || !strings.Contains(told.Cure(), "backup") {
		t.Errorf("got %v", err)
	}
	if k, _ := secrets.current(); len(k.all) != 2 || k.stage() != wire.SecretsWriting {
		t.Errorf("the keys are %q", k.names())
	}
	if status, err := secrets.Status(t.Context()); err != nil || status.Trouble == "" || len(status.Stored) != 2 || len(rows.Details()) != 1 {
		t.Errorf("%+v, %v, %v", status, rows.Details(), err)
	}
	if _, err := s.client.Txn(t.Context()).If(clientv3.Compare(clientv3.ModRevision(keyOf("lost")), "=", put.Header.Revision)).
		Then(clientv3.OpDelete(keyOf("lost"))).Else(clientv3.OpGet(keyOf("lost"))).Commit(); err != nil {
		t.Fatal(err)
	}
	if err := secrets.Rotate(t.Context(), func(wire.SecretsProgress) {}); err != nil { // it goes on where it was
		t.Fatal(err)
	}
	k, _ := secrets.current()
	if len(k.all) != 1 || k.all[0].number() != 2 || len(rows.Details()) != 0 {
		t.Errorf("the keys are %q, rows %v", k.names(), rows.Details())
	}
	s.check(t, secrets, k.writes())
}

func TestAFullDiskLeavesTheFormerKey(t *testing.T) {
	s := newSite(t)
	full := errors.New("no space left on device")
	secrets := s.open(t, func(c *Config) { c.Renew = func(context.Context) error { return full } })
	s.fill(t, secrets, 3)
	if err := secrets.rotate(t.Context(), func(wire.SecretsProgress) {}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if k, _ := secrets.current(); len(k.all) != 2 {
		t.Errorf("the keys are %q", k.names())
	}
	full = nil
	if err := secrets.settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	k, _ := secrets.current()
	s.check(t, secrets, k.writes())
}

func TestAFileOfTheUsersOwn(t *testing.T) {
	secrets, err := Open(Config{File: t.TempDir() + "/file", Enabled: true})
	if err != nil {
		t.Fatal(err)
	}
	var told *fault.Fault
	if err := secrets.Rotate(t.Context(), func(wire.SecretsProgress) {}); !errors.As(err, &told) || told.Cure() == "" {
		t.Errorf("got %v", err)
	}
	if status, err := secrets.Status(t.Context()); err != nil || status.Provider != "" || status.Enabled {
		t.Errorf("%+v, %v", status, err)
	}
	if err := secrets.settle(t.Context()); err != nil {
		t.Error(err)
	}
}
