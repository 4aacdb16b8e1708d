package log

import (
	"bytes"
	"context"
	"errors"
	stdlog "log"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"go.uber.org/zap"
	"k8s.io/klog/v2"
)

// The loggers of the libraries are global and are bridged once in a process: each case has a process of its own.
const bridged = "SKERRY_TEST_LOG"

// scenes are what a process does after Bridge.
func scenes() map[string]func(*Hold) {
	return map[string]func(*Hold){
		"speak": func(hold *Hold) {
			hold.Forget()
			speak()
		},
		"start badly": func(*Hold) { klog.ErrorS(errors.New("cause"), "early") },
		"stop": func(hold *Hold) {
			hold.Forget()
			hold.Again()
			klog.ErrorS(nil, "late")
		},
		"give up in Kubernetes": func(*Hold) { lastWords(klog.Fatal) },
		"exit in Kubernetes":    func(*Hold) { lastWords(klog.Exit) },
		"give up in containerd": func(*Hold) { lastWords(logrus.Fatal) },
	}
}

func lastWords(say func(...any)) { say("last words") }

// speak says something through every logger and level.
func speak() {
	klog.Info("klog text info")
	klog.Warning("klog text warning [1] x")
	klog.Errorf("klog text error\nwith a second line")
	klog.InfoS("klog info", "a", 1)
	klog.ErrorS(errors.New("cause"), "klog error", "a", 1)
	klog.FromContext(context.Background()).Info("contextual info")
	klog.FromContext(context.Background()).Error(nil, "contextual error")
	klog.V(5).Info("klog detail")
	logrus.Info("logrus info")
	logrus.WithField("b", 2).WithField("a", 1).Warn("logrus warning")
	logrus.Error("logrus error")
	logrus.Debug("logrus detail")
	etcdClient.Named("x").Info("etcd's client info")
	etcdClient.Named("x").Warn("etcd's client warning", zap.Error(errors.New("cause")))
	stdlog.Print("standard line")
	stdlog.Print("[WARNING] standard warning")
	stdlog.Print("[INFO] standard [x] info")
}

func TestMain(m *testing.M) {
	scene, inside := os.LookupEnv(bridged)
	if !inside {
		os.Exit(m.Run())
	}
	name, debug := strings.CutSuffix(scene, " with debug")
	hold, err := Bridge(New(os.Stdout, debug), debug)
	if err != nil {
		panic(err)
	}
	scenes()[name](hold)
}

// play runs a scene and gives what it wrote.
func play(t *testing.T, scene string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bridged+"="+scene)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String()
}

func TestBridge(t *testing.T) {
	for scene, c := range map[string]struct{ has, lacks []string }{
		"speak": {
			has: []string{
				`level=WARN msg="klog text warning [1] x" service=kubernetes`,
				`level=ERROR msg="klog text error\nwith a second line" service=kubernetes`,
				`level=ERROR msg="klog error" service=kubernetes err=cause a=1`,
				`level=ERROR msg="contextual error" service=kubernetes`,
				`level=WARN msg="logrus warning" service=containerd a=1 b=2`,
				`level=ERROR msg="logrus error" service=containerd`,
				`level=WARN msg="etcd client: etcd's client warning {\"error\": \"cause\"}" service=kubernetes`,
				`level=INFO msg="standard line" service=library`,
				`level=WARN msg="standard warning" service=library`,
				`level=INFO msg="standard [x] info" service=library`,
			},
			lacks: []string{"klog text info", "klog info", "contextual info", "logrus info", "client info", "detail"},
		},
		"speak with debug": {
			has: []string{`level=INFO msg="klog text info" service=kubernetes`, `level=INFO msg="klog info" service=kubernetes a=1`,
				`msg="contextual info" service=kubernetes`, `level=INFO msg="logrus info" service=containerd`},
			lacks: []string{"detail"},
		},
		"start badly":            {lacks: []string{"early"}}, // whoever has the Hold tells it
		"start badly with debug": {has: []string{"early"}},
		"stop":                   {lacks: []string{"late"}},
		"stop with debug":        {has: []string{"late"}},
		"give up in Kubernetes":  {has: []string{`level=ERROR msg="last words" service=kubernetes`}},
		"exit in Kubernetes":     {has: []string{`level=ERROR msg="last words" service=kubernetes`}},
		"give up in containerd":  {has: []string{`level=ERROR msg="last words" service=containerd`}},
	} {
		t.Run(scene, func(t *testing.T) {
			got := play(t, scene)
			for _, want := range c.has {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing in\n%s", want, got)
				}
			}
			for _, never := range c.lacks {
				if strings.Contains(got, never) {
					t.Errorf("%q stands in\n%s", never, got)
				}
			}
			for line := range strings.Lines(got) {
				if !strings.HasPrefix(line, "time=") {
					t.Errorf("a line of another form: %q", line)
				}
			}
		})
	}
}

// TestKineIsTheDatastore: it speaks through the same logger as containerd.
func TestKineIsTheDatastore(t *testing.T) {
	for caller, want := range map[string]string{
		"github.com/k3s-io/kine/pkg/server.(*KVServerBridge).Range":      "service=kine",
		"github.com/containerd/containerd/v2/internal/cri.(*x).SomeCall": "service=containerd",
		"": "service=containerd",
	} {
		var out bytes.Buffer
		to := slog.New(slog.NewTextHandler(&out, nil))
		entry := &logrus.Entry{Level: logrus.WarnLevel, Message: "x", Caller: &runtime.Frame{Function: caller}}
		if err := (hook{containerd: to.With("service", "containerd"), kine: to.With("service", "kine")}).Fire(entry); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: %s", caller, &out)
		}
	}
}

func TestNew(t *testing.T) {
	for debug, want := range map[bool]int{false: 1, true: 2} {
		var out bytes.Buffer
		log := New(&out, debug)
		log.Debug("detail")
		log.Info("event", "service", "x")
		if got := strings.Count(out.String(), "\n"); got != want || !strings.Contains(out.String(), `level=INFO msg=event service=x`) {
			t.Errorf("debug %t: %s", debug, &out)
		}
	}
}

func TestAHoldKeepsTheNewest(t *testing.T) {
	var out bytes.Buffer
	hold := &Hold{}
	log := slog.New(holding{hold, slog.NewTextHandler(&out, nil)}).WithGroup("g")
	for i := range holdMost + 10 {
		log.Info("line", "number", i)
	}
	hold.Tell()
	hold.Tell()
	if got := strings.Count(out.String(), "\n"); got != holdMost {
		t.Errorf("%d records were told, want %d", got, holdMost)
	}
	if strings.Contains(out.String(), "g.number=9\n") || !strings.Contains(out.String(), "g.number=10\n") {
		t.Error("the oldest records did not go")
	}
	hold.Again()
	log.Info("stopping")
	if strings.Contains(out.String(), "stopping") {
		t.Error("records pass while the node stops")
	}
}
