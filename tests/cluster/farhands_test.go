package cluster_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// handsOn: what an operator does to a pod works on any node, and what programs ask its kubelet for.
func handsOn(t *testing.T, c *cluster, node string) {
	pod := "web-" + node
	t.Run("exec tells the exit code", func(t *testing.T) {
		if _, err := c.try(t, "kubectl", "exec", pod, "--", "sh", "-c", "exit 7"); err == nil || !strings.Contains(err.Error(), "exit code 7") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("exec passes input on", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := c.host.RunWith(ctx, strings.NewReader("abc"), "skerry", "kubectl", "exec", "-i", pod, "--", "tr", "a-c", "A-C")
		if err != nil || out != "ABC" {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("cp there and back", func(t *testing.T) {
		data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
		c.host.Write("/tmp/to-"+node, data)
		c.kubectl(t, "cp", "/tmp/to-"+node, pod+":/tmp/there")
		c.kubectl(t, "cp", pod+":/tmp/there", "/tmp/from-"+node)
		if back, err := c.host.Read("/tmp/from-" + node); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d of %d bytes came back, %v", len(back), len(data), err)
		}
	})
	t.Run("logs -f follows", func(t *testing.T) { logsFollow(t, c, node) })
	t.Run("port-forward", func(t *testing.T) {
		forward := c.host.Start("skerry", "kubectl", "port-forward", "pod/"+pod, ":8080")
		defer forward.Kill()
		c.eventually(t, "the forwarded port answers", func() error {
			_, rest, found := strings.Cut(forward.Output(), "127.0.0.1:")
			if !found {
				return fmt.Errorf("it says %q", forward.Output())
			}
			port, _, _ := strings.Cut(rest, " ")
			out, err := c.fetch("http://127.0.0.1:" + port + "/index.html")
			if err == nil && out != pod {
				err = fmt.Errorf("it says %q", out)
			}
			return err
		})
	})
	t.Run("kubelet's statistics", func(t *testing.T) { statistics(t, c, node) })
}

func logsFollow(t *testing.T, c *cluster, node string) {
	pod := webOn(node, "talker-"+node, "talker")
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done"}
	c.create(t, pod)
	c.podReady(t, pod.Name)
	follow := c.host.Start("skerry", "kubectl", "logs", "-f", "--tail=1", pod.Name)
	defer follow.Kill()
	c.eventually(t, "ten lines have come", func() error {
		if got := strings.Count(follow.Output(), "line "); got < 10 {
			return fmt.Errorf("%d have", got)
		}
		return nil
	})
	c.kubectl(t, "delete", "pod", "--wait=false", pod.Name)
}

// statistics are read as `kubectl top` and its server read them.
func statistics(t *testing.T, c *cluster, node string) {
	text := c.kubectl(t, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/stats/summary")
	var summary struct {
		Node struct {
			NodeName string
			Memory   struct{ WorkingSetBytes uint64 }
		}
		Pods []struct{ PodRef struct{ Name string } }
	}
	if err := json.Unmarshal([]byte(text), &summary); err != nil {
		t.Fatal(err)
	}
	if summary.Node.NodeName != node || summary.Node.Memory.WorkingSetBytes == 0 || len(summary.Pods) == 0 {
		t.Errorf("the summary says %+v", summary)
	}
	c.eventually(t, "there are figures of the pod", func() error {
		text, err := c.try(t, "kubectl", "get", "--raw", "/api/v1/nodes/"+node+"/proxy/metrics/resource")
		if err == nil && !strings.Contains(text, `pod="web-`+node+`"`) {
			err = fmt.Errorf("%d bytes of figures, none of web-%s", len(text), node)
		}
		return err
	})
}

// largeCopy: 100 MB arrive whole in a pod, and come back whole.
func largeCopy(t *testing.T, c *cluster, pod string) {
	const size = 100 << 20
	there, err := os.Create(c.host.Path("/tmp/large"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(there, sum), rand.NewChaCha8([32]byte{}), size); err != nil {
		t.Fatal(err)
	}
	if err := there.Close(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%x", sum.Sum(nil))
	begin := time.Now()
	c.kubectl(t, "cp", "/tmp/large", pod+":/tmp/large")
	t.Logf("100 MiB there in %v", time.Since(begin).Round(10*time.Millisecond))
	if out := c.exec(t, pod, "sha256sum", "/tmp/large"); !strings.HasPrefix(out, want) {
		t.Errorf("in the pod it is %s, not %s", out, want)
	}
	begin = time.Now()
	c.kubectl(t, "cp", pod+":/tmp/large", "/tmp/back")
	t.Logf("100 MiB back in %v", time.Since(begin).Round(10*time.Millisecond))
	out, err := c.host.Run(t.Context(), "sha256sum", "/tmp/back")
	if err != nil || !strings.HasPrefix(out, want) {
		t.Errorf("back it is %s, not %s; %v", out, want, err)
	}
	c.exec(t, pod, "rm", "/tmp/large")
}
