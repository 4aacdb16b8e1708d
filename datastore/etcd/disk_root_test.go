package etcd

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk that is full ends the member with the reason, not the process; with room it starts again, with all that was answered.
func TestAFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root mounts a small disk")
	}
	s := newSite(t)
	c := s.member(1)
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", c.Dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skip("no small disk can be had: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(c.Dir, syscall.MNT_DETACH) })
	one := newProcess(t, s, newLinks(t), 1, c, false)
	put(t, one.c, "/registry/before", "1")
	ballast := filepath.Join(c.Dir, "ballast")
	if err := fillUp(ballast); err != nil {
		t.Fatal(err)
	}
	answered := map[string]string{"/registry/before": "1"}
	text := strings.Repeat("x", 100_000)
	for i := 0; len(answered) == i+1; i++ {
		ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
		if _, err := one.c.Put(ctx, fmt.Sprintf("/registry/%d", i), text); err == nil {
			answered[fmt.Sprintf("/registry/%d", i)] = text
		}
		stop()
	}
	one.over() // by itself
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	one.start()
	put(t, one.c, "/registry/after", "1")
	for key, want := range answered {
		if got := value(t, one.c, key); got != want {
			t.Errorf("%s was answered, and is %.20q", key, got)
		}
	}
	t.Logf("%d writes were answered", len(answered))
}

// fillUp writes a file until there is no room.
func fillUp(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	return f.Close()
}
