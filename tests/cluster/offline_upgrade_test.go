package cluster_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// How the cache begins, as one build and another keep it.
const firstFormat, otherFormat = "skerry api cache 1\n", "skerry api cache 2\n"

// TestOfflineUpgrade: an agent gets another build while no server is in reach: the next one, one that keeps its cache in another format,
// and the first one again. Pods run on throughout. What a build cannot read it does without, until a server tells it again.
func TestOfflineUpgrade(t *testing.T) {
	first := bin(t)
	builds := newBuilds(t, first)
	next := builds.make(t, "v7", nil)
	other := builds.make(t, "v8", map[string]string{firstFormat: otherFormat})
	c := newCluster(t, "", []string{busybox})
	far := c.newAgent(t, "far", nil)
	c.start(t)
	c.create(t, webOn("far", "web-far", "web"))
	c.service(t, "web", "web", 30093)
	far.answersOn(t, "30093") // so it knows of the Service
	u := &upgrade{agent: far, start: []string{"skerry", "agent", "--server", c.url(), "--token", c.token(t)}}
	c.host.PowerCut()

	u.pod = far.mainOf(t, "web-far")
	t.Run("the next build adopts the pods", func(t *testing.T) {
		u.to(t, next, "v7")
		u.alone(t)
	})
	t.Run("and starts them after a reboot, by what the first has kept", func(t *testing.T) {
		far.host.PowerCycle()
		u.shows(t, next)
		far.proc = far.host.Start(u.start...)
		far.answersOn(t, "30093")
		u.pod = far.mainOf(t, "web-far")
		u.read(t, true)
	})
	t.Run("one with another format goes on without it", func(t *testing.T) {
		u.to(t, other, "v8")
		u.read(t, false)
		u.alone(t)
		u.has(t, firstFormat) // for the way back
	})
	t.Run("until a server is back", func(t *testing.T) {
		c.host.Boot()
		c.serve()
		c.apiReady(t)
		c.allReady(t)
		c.eventually(t, "the server reaches the pod", func() error { return c.execs(t, "web-far") })
		u.same(t)
		c.host.PowerCut()
	})
	t.Run("and the first one goes on without what that has kept", func(t *testing.T) {
		u.to(t, first, builds.number)
		u.read(t, false)
		u.has(t, otherFormat)
	})
}

// upgrade is an agent that gets one build after another.
type upgrade struct {
	*agent
	start []string
	pod   string // its container
}

// to stops the agent as an installer does, and starts another build. The pod answers and is the same.
func (u *upgrade) to(t *testing.T, build, version string) {
	t.Helper()
	u.stop(t)
	u.shows(t, build)
	u.proc = u.host.Start(u.start...)
	u.eventually(t, "the other build runs pods", func() error {
		said := u.proc.Output()
		if !strings.Contains(said, "starting version="+version) || !strings.Contains(said, "ready service=kubelet") {
			return fmt.Errorf("it wrote\n%s", said)
		}
		return nil
	})
	u.answersOn(t, "30093")
	u.same(t)
}

// alone waits until the node knows that no server is in reach. Its pod is still the same.
func (u *upgrade) alone(t *testing.T) {
	t.Helper()
	u.isAlone(t)
	u.answersOn(t, "30093")
	u.same(t)
}

// isAlone waits until the node knows that no server is in reach.
func (a *agent) isAlone(t *testing.T) {
	t.Helper()
	a.eventually(t, "it goes on alone", func() error {
		out, _ := a.try(t, "status")
		if !strings.Contains(out, "offline since") {
			return fmt.Errorf("status says\n%s", out)
		}
		return nil
	})
}

// read wants the build to have read the cache, or to have said that it cannot.
func (u *upgrade) read(t *testing.T, could bool) {
	t.Helper()
	if said := u.proc.Output(); strings.Contains(said, "is lost; a server has to tell it again") == could {
		t.Errorf("it wrote of its cache\n%s", said)
	}
}

// has wants the cache on disk to have a format.
func (u *upgrade) has(t *testing.T, format string) {
	t.Helper()
	if text, err := u.host.Read(cacheFile); err != nil || !bytes.HasPrefix(text, []byte(format)) {
		t.Errorf("the cache begins with %.20q, not %q; %v", text, format, err)
	}
}

// same wants the pod's container to be the one that it was.
func (u *upgrade) same(t *testing.T) {
	t.Helper()
	if now := u.mainOf(t, "web-far"); now == "" || now != u.pod {
		t.Errorf("the pod was started again: %s, %s", u.pod, now)
	}
}

// shows puts a build in the place of the installed one. A boot undoes it.
func (u *upgrade) shows(t *testing.T, build string) {
	t.Helper()
	text, err := os.ReadFile(build)
	if err != nil {
		t.Fatal(err)
	}
	place := "/opt/" + filepath.Base(build)
	u.host.Write(place, text)
	if err := os.Chmod(u.host.Path(place), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := u.host.Run(t.Context(), "mount", "--bind", place, "/usr/local/bin/skerry"); err != nil {
		t.Fatal(err)
	}
}
