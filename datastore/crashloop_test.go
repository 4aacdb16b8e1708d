package datastore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
)

// TestCrashLoop kills the process that serves a store again and again while clients write through etcd's API. What they were answered is
// there in the next life, and revisions only grow.
func TestCrashLoop(t *testing.T) {
	kills := 25
	if os.Getenv("SKERRY_LONG") != "" {
		kills = 200
	}
	dir := t.TempDir()
	hands := make([]*hand, 8)
	for i := range hands {
		hands[i] = &hand{number: i, keys: map[string]*known{}}
	}
	answered := 0
	for kill := range kills + 1 {
		server, client := life(t, dir)
		for _, h := range hands {
			h.check(t, client)
		}
		if t.Failed() || kill == kills {
			_ = server.Process.Kill()
			_ = server.Wait()
			break
		}
		ctx, end := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		for _, h := range hands {
			writing.Go(func() { h.write(ctx, client) })
		}
		late := time.NewTimer(time.Duration(10+rand.IntN(150)) * time.Millisecond)
		<-late.C
		_ = server.Process.Kill()
		_ = server.Wait()
		end()
		writing.Wait()
		_ = client.Close()
	}
	for _, h := range hands {
		answered += h.answered
	}
	t.Logf("%d writes were answered in %d lives", answered, kills)
	if answered < 10*kills {
		t.Errorf("only %d writes were answered", answered)
	}
}

// TestCrashLoopServer is the process that is killed; by itself it does nothing.
func TestCrashLoopServer(t *testing.T) {
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	dir, ours := strings.CutPrefix(strings.TrimSpace(line), "serve ")
	if !ours {
		t.Skip("it is a part of TestCrashLoop")
	}
	store, done, err := local.Open(t.Context(), local.Config{Dir: dir, SnapshotInterval: 100 * time.Millisecond, SnapshotCount: 2, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Printf("@%v\n", err)
		return
	}
	defer done()
	if err := datastore.Serve(t.Context(), store, filepath.Join(dir, "s"), func() { fmt.Println("@ready") }); err != nil {
		fmt.Printf("@%v\n", err)
	}
}

// life starts a server, and gives a client of it.
func life(t *testing.T, dir string) (*exec.Cmd, *clientv3.Client) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(t.Context(), program, "-test.run=^TestCrashLoopServer$")
	server.Stdin = io.MultiReader(strings.NewReader("serve " + dir + "\n"))
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "@") { // what the testing package says
	}
	if lines.Text() != "@ready" {
		t.Fatalf("the server says %s", lines.Text())
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(dir, "s")}, DialTimeout: most, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

// known is what a hand knows of a key.
type known struct {
	value    string   // when it was last answered; "" for none
	revision int64    // of that
	tried    []string // since then
}

// hand is a client with keys of its own.
type hand struct {
	number, count, answered int
	keys                    map[string]*known
	highest                 int64 // revision that it was answered
}

// write writes until it is not answered any more.
func (h *hand) write(ctx context.Context, client *clientv3.Client) {
	for ctx.Err() == nil {
		key := fmt.Sprintf("/registry/pods/%d-%d", h.number, rand.IntN(5))
		k := h.keys[key]
		if k == nil {
			k = &known{}
			h.keys[key] = k
		}
		h.count++
		value := fmt.Sprintf("%d %s", h.count, strings.Repeat("x", rand.IntN(2000)))
		do := clientv3.OpPut(key, value)
		if k.value != "" && rand.IntN(5) == 0 {
			value, do = "", clientv3.OpDelete(key)
		}
		k.tried = append(k.tried, value)
		request, cancel := context.WithTimeout(ctx, most)
		answer, err := client.Txn(request).If(clientv3.Compare(clientv3.ModRevision(key), "=", k.revision)).Then(do).Else(clientv3.OpGet(key)).Commit()
		cancel()
		if err != nil || !answer.Succeeded {
			return
		}
		h.answered++
		k.value, k.revision, k.tried = value, answer.Header.Revision, nil
		if value == "" {
			k.revision = 0
		}
		h.highest = max(h.highest, answer.Header.Revision)
	}
}

// check wants each key to be what it was when its hand was last answered, or what was tried since.
func (h *hand) check(t *testing.T, client *clientv3.Client) {
	t.Helper()
	for key, k := range h.keys {
		answer, err := client.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Header.Revision < h.highest {
			t.Errorf("revision %d was answered, and now it is %d", h.highest, answer.Header.Revision)
		}
		value, revision := "", int64(0)
		if len(answer.Kvs) > 0 {
			value, revision = string(answer.Kvs[0].Value), answer.Kvs[0].ModRevision
		}
		if value != k.value && !slices.Contains(k.tried, value) {
			t.Errorf("%s was %.20q when it was last answered, %d were tried since, and now it is %.20q", key, k.value, len(k.tried), value)
		}
		if value == k.value && len(k.tried) == 0 && revision != k.revision {
			t.Errorf("%s was written at %d, and now that is %d", key, k.revision, revision)
		}
		k.value, k.revision, k.tried = value, revision, nil
	}
}
