package command_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// outcome is what a run of the program left behind.
type outcome struct {
	code     int
	out, err string
	called   string // the action that ran, with what it was given
}

// run runs the program with actions that only note their call.
func run(t *testing.T, args ...string) outcome { return runWith(t, nil, args...) }

func runWith(t *testing.T, failure error, args ...string) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	var o outcome
	note := func(text string) error { o.called = text; return failure }
	tool := func(name string) func(context.Context, command.Env, []string) error {
		return func(_ context.Context, _ command.Env, args []string) error {
			return note(name + " " + strings.Join(args, " "))
		}
	}
	env := command.Env{
		Args: args, In: strings.NewReader(""), Out: &out, Err: &errs,
		Hostname: func() (string, error) { return "pi", nil },
	}
	empty := filepath.Join(t.TempDir(), "config.yaml")
	if err := writeEmpty(empty); err != nil {
		t.Fatal(err)
	}
	env.Environ = []string{"SKERRY_CONFIG_FILE=" + empty}
	o.code = command.Main(t.Context(), env, command.Actions{
		Server:      func(_ context.Context, _ command.Env, c config.Server) error { return note("server " + c.NodeName) },
		Agent:       func(_ context.Context, _ command.Env, c config.Agent) error { return note("agent " + c.Server) },
		CheckConfig: func(context.Context, command.Env, config.CheckConfig) error { return note("check-config") },
		Reset:       func(_ context.Context, _ command.Env, c config.Reset) error { return note("reset " + c.DataDir) },
		Install:     func(_ context.Context, _ command.Env, c config.Install) error { return note("install " + c.Exec) },
		Uninstall:   func(context.Context, command.Env, config.Uninstall) error { return note("uninstall") },
		Status: func(_ context.Context, _ command.Env, c config.Status) error {
			return note("status " + c.Output + " " + c.DataDir)
		},
		Images: func(_ context.Context, _ command.Env, c config.Images) error {
			return note("images " + c.RuntimeEndpoint())
		},
		Cluster: clusterActions(note),
		Kubectl: tool("kubectl"), Crictl: tool("crictl"), Ctr: tool("ctr"),
	})
	o.out, o.err = out.String(), errs.String()
	return o
}

// clusterActions note what they are called with.
func clusterActions(note func(string) error) command.ClusterActions {
	return command.ClusterActions{
		TokenCreate: func(_ context.Context, _ command.Env, c command.TokenCreate, words []string) error {
			return note(fmt.Sprint("token-create ", c.TTL, words))
		},
		TokenList: func(_ context.Context, _ command.Env, c command.TokenList, words []string) error {
			return note(fmt.Sprint("token-list ", c.Output, " ", words))
		},
		TokenDelete: func(_ context.Context, _ command.Env, _ command.Access, words []string) error {
			return note(fmt.Sprint("token-delete ", words))
		},
		TokenRotate: func(_ context.Context, _ command.Env, c command.TokenRotate, words []string) error {
			return note(fmt.Sprint("token-rotate ", c.NewToken.Reveal(), " ", words))
		},
		TokenGenerate: func(_ context.Context, _ command.Env, _ struct{}, words []string) error {
			return note(fmt.Sprint("token-generate ", words))
		},
		NodeList: func(_ context.Context, _ command.Env, c command.NodeList, words []string) error {
			return note(fmt.Sprint("node-list ", c.Output, " ", words))
		},
		NodeReplace: func(_ context.Context, _ command.Env, c command.NodeReplace, words []string) error {
			return note(fmt.Sprint("node-replace ", c.Yes, words))
		},
		NodeRemove: func(_ context.Context, _ command.Env, c command.NodeRemove, words []string) error {
			return note(fmt.Sprint("node-remove ", c.Timeout, words))
		},
		UserCreate: func(_ context.Context, _ command.Env, c command.UserCreate, words []string) error {
			return note(fmt.Sprint("user-create ", c.Group, words))
		},
	}
}

func TestEveryWordFindsItsAction(t *testing.T) {
	for line, want := range map[string]string{
		"skerry server --node-name x":              "server x",
		"skerry server":                            "server pi",
		"skerry agent -s https://10.0.0.1 -t x":    "agent https://10.0.0.1",
		"skerry check-config":                      "check-config",
		"skerry reset --data-dir /srv/s -y":        "reset /srv/s",
		"skerry status -o json -d /srv/s":          "status json /srv/s",
		"skerry images":                            "images unix:///run/skerry/containerd/containerd.sock",
		"skerry install --exec agent":              "install agent",
		"skerry uninstall":                         "uninstall",
		"skerry kubectl get pods -n x --help -- -": "kubectl get pods -n x --help -- -",
		"skerry kubectl --version":                 "kubectl --version",
		"/usr/local/bin/kubectl get pods":          "kubectl get pods",
		"crictl ps":                                "crictl ps",
		"./ctr -h":                                 "ctr -h",
		"skerry ctr image ls":                      "ctr image ls",
		"skerry token create --ttl 2h x":           "token-create 2h0m0s [x]",
		"skerry token list -o json":                "token-list json []",
		"skerry token delete a b":                  "token-delete [a b]",
		"skerry token rm a":                        "token-delete [a]",
		"skerry token rotate --new-token x":        "token-rotate x []",
		"skerry token generate":                    "token-generate []",
		"skerry node list":                         "node-list text []",
		"skerry node replace a --yes":              "node-replace true [a]",
		"skerry node drain-and-remove a":           "node-remove 5m0s [a]",
		"skerry node remove --timeout 1m a":        "node-remove 1m0s [a]",
		"skerry kubeconfig create amy -g a -g b":   "user-create [a b] [amy]",
		"/opt/renamed server":                      "server pi",
	} {
		if o := run(t, strings.Fields(line)...); o.called != want || o.code != command.ExitOK {
			t.Errorf("%s: called %q, code %d: %s", line, o.called, o.code, o.err)
		}
	}
}

func TestHelp(t *testing.T) {
	for line, want := range map[string]string{
		"skerry":                     "check-config",
		"skerry --help":              "check-config",
		"skerry -h":                  "check-config",
		"skerry help":                "check-config",
		"skerry help server":         "--cluster-cidr CIDR",
		"skerry token":               "rotate",
		"skerry token --help":        "rotate",
		"skerry help token":          "rotate",
		"skerry token create --help": "skerry token create [command options] [ID.SECRET]",
		"skerry node remove x -h":    "--delete-emptydir-data",
		"skerry server --help":       "--cluster-cidr CIDR",
		"skerry server --bad -h":     "[$SKERRY_CLUSTER_CIDR]",
		"skerry config":              "check",
		"skerry config check --help": "skerry config check",
	} {
		o := run(t, strings.Fields(line)...)
		if o.code != command.ExitOK || !strings.Contains(o.out, want) || o.called != "" || o.err != "" {
			t.Errorf("%s: code %d, called %q\n%s%s", line, o.code, o.called, o.out, o.err)
		}
	}
}

func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"skerry srever":                "skerry: unknown command \"srever\"\n  to cure: did you mean `skerry server`?\n",
		"skerry frobnicate":            "skerry: unknown command \"frobnicate\"\n  to cure: `skerry --help` lists the commands\n",
		"skerry --frob":                "skerry: flag provided but not defined: -frob\n  to cure: skerry --help lists the commands\n",
		"skerry config chek":           "skerry: unknown command \"config chek\"\n  to cure: did you mean `skerry config check`?\n",
		"skerry token frob":            "skerry: unknown command \"token frob\"\n  to cure: `skerry token --help` lists them\n",
		"skerry node replace":          "skerry: the command does not say which one\n  to cure: write `skerry node replace NAME`\n",
		"skerry node rm":               "skerry: unknown command \"node rm\"\n  to cure: `skerry node --help` lists them\n",
		"skerry node remove a b":       "skerry: \"b\" is one word too many\n  to cure: write `skerry node drain-and-remove NAME`\n",
		"skerry token list a":          "skerry: \"a\" is one word too many\n  to cure: write `skerry token list`\n",
		"skerry token create --tll 2h": "skerry: 1 problem with the settings; nothing on this host was changed\n  --tll: unknown flag\n      to cure: did you mean --ttl?\n",
		"skerry completion tcsh":       "skerry: completion takes the name of a shell\n  to cure: skerry completion bash, zsh or fish\n",
		"skerry server --tls-sans":     "skerry: 1 problem with the settings; nothing on this host was changed\n  --tls-sans: unknown flag\n      to cure: did you mean --tls-san?\n",
		"skerry version -o yaml":       "skerry: 1 problem with the settings; nothing on this host was changed\n  --output: output: \"yaml\" is not one of text, json\n      to cure: write one of them\n",
		"skerry reset all":             "skerry: 1 problem with the settings; nothing on this host was changed\n  unexpected argument \"all\"\n      to cure: settings are given as --NAME VALUE\n",
	} {
		if o := run(t, strings.Fields(line)...); o.code != command.ExitUsage || o.err != want || o.called != "" || o.out != "" {
			t.Errorf("%s: code %d\n%s%s", line, o.code, o.out, o.err)
		}
	}
}

func TestFailuresArePrintedOnceWithTheirCures(t *testing.T) {
	inner := fault.New("listen on :6443").Because(errors.New("address in use")).Fix("stop the other program")
	for name, c := range map[string]struct {
		err  error
		code int
		want string
	}{
		"plain":           {errors.New("boom"), command.ExitFailure, "skerry: boom\n"},
		"fault":           {inner, command.ExitFailure, "skerry: listen on :6443: address in use\n  to cure: stop the other program\n"},
		"fault in fault":  {fault.New("start").Because(inner).Fix("look there"), command.ExitFailure, "skerry: start: listen on :6443: address in use\n  to cure: look there\n  to cure: stop the other program\n"},
		"quiet tool":      {command.Quiet(7), 7, ""},
		"nothing happens": {nil, command.ExitOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if o := runWith(t, c.err, "skerry", "server"); o.code != c.code || o.err != c.want {
				t.Errorf("code %d\n%s", o.code, o.err)
			}
		})
	}
}

func TestConfigCheckShowsNoSecret(t *testing.T) {
	o := run(t, "skerry", "config", "check", "--token", "hunter2", "--node-name", "pi")
	if o.code != command.ExitOK || strings.Contains(o.out, "hunter2") || !strings.Contains(o.out, "--node-name") {
		t.Errorf("code %d\n%s%s", o.code, o.out, o.err)
	}
	if o := run(t, "skerry", "config", "check", "agent"); o.code != command.ExitUsage || !strings.Contains(o.err, "an agent needs the server") {
		t.Errorf("code %d\n%s", o.code, o.err)
	}
}

func TestVersion(t *testing.T) {
	for _, word := range []string{"version", "--version", "-v"} {
		o := run(t, "skerry", word)
		if o.code != command.ExitOK || !strings.HasPrefix(o.out, "skerry version dev (unknown)\ngo version go") || !strings.Contains(o.out, "\nkubernetes version v1.") {
			t.Errorf("%s: code %d\n%s", word, o.code, o.out)
		}
	}
	var parsed map[string]any
	o := run(t, "skerry", "--version", "-o", "json")
	if err := json.Unmarshal([]byte(o.out), &parsed); err != nil || parsed["version"] != "dev" || parsed["components"] == nil {
		t.Errorf("%v\n%s", err, o.out)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		o := run(t, "skerry", "completion", shell)
		if o.code != command.ExitOK || !strings.Contains(o.out, "check-config") || !strings.Contains(o.out, "cluster-cidr") ||
			!strings.Contains(o.out, "drain-and-remove") || !strings.Contains(o.out, "print-join-command") {
			t.Errorf("%s: code %d\n%s", shell, o.code, o.out)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			continue // its syntax is checked where the shell is
		}
		check := exec.CommandContext(t.Context(), path, "-n")
		check.Stdin = strings.NewReader(o.out)
		if text, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, text)
		}
	}
}
