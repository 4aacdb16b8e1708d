package cluster_test

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

const (
	configFile = "/etc/skerry/config.yaml"
	serverDir  = "/var/lib/skerry/server"
)

// badInput is something that a user gets wrong, and what every message about it must say (regular expressions).
type badInput struct {
	what  string
	files map[string]string
	run   []string // default: skerry server
	says  []string
}

func badInputs() []badInput {
	config := func(text string) map[string]string { return map[string]string{configFile: text} }
	return []badInput{
		{"broken YAML", config("node-name: a\nnode-label: [a=b\n"), nil, []string{`config\.yaml:\d+: not valid YAML`, `to cure|Fix|cure`}},
		{"a tab", config("tls-san:\n\t- a\n"), nil, []string{`config\.yaml:2: `, `spaces`}},
		{"wrong type", config("https-listen-port: many\n"), nil, []string{`config\.yaml:1: .*https-listen-port`, `many`}},
		{"a list where one value belongs", config("node-name: [a, b]\n"), nil, []string{`config\.yaml:1: .*node-name.* list`}},
		{"unknown key", config("debug: true\ntls-sans: [a.example]\n"), nil, []string{`config\.yaml:2: unknown key "tls-sans"`, `did you mean "tls-san"`}},
		{"overlapping ranges", config("cluster-cidr: 10.43.0.0/17\n"), nil, []string{`config\.yaml:1: .*overlaps service-cidr`, `choose a range`}},
		{"several problems, all at once", config("https-listen-port: many\ncluster-cidr: here\ntls-sans: a\n"), nil,
			[]string{`config\.yaml:1: `, `config\.yaml:2: `, `config\.yaml:3: `}},
		{"a drop-in", map[string]string{configFile + ".d/10-x.yaml": "nope: 1\n"}, nil, []string{`config\.yaml\.d/10-x\.yaml:1: unknown key`}},
		{"unknown variable", nil, []string{"env", "SKERRY_TLS_SANS=a", "skerry", "server"}, []string{`SKERRY_TLS_SANS`, `SKERRY_TLS_SAN\b`}},
		{"unknown flag", nil, []string{"skerry", "server", "--tls-sans=a"}, []string{`tls-sans`, `tls-san\b`}},
		{"a config file that is not there", nil, []string{"skerry", "server", "--config", "/etc/no.yaml"}, []string{`/etc/no\.yaml`, `create it`}},
		{"a token file that is not there", nil, []string{"skerry", "server", "--token-file", "/etc/no-token"}, []string{`/etc/no-token`}},
		{"a token file that cannot be read", nil, []string{"skerry", "server", "--token-file", "/etc/skerry"}, []string{`/etc/skerry\b`, `token`}},
		{"no permission", nil, []string{"setpriv", "--reuid=65534", "--clear-groups", "skerry", "server"}, []string{`root`}},
		{"a corrupt authority", map[string]string{serverDir + "/tls/server-ca.crt": "no certificate\n", serverDir + "/tls/server-ca.key": "no key\n"}, nil,
			[]string{`server-ca`, `backup`}},
		{"a database that is none", map[string]string{serverDir + "/db/state.db": strings.Repeat("this is no database\n", 500)}, nil,
			[]string{`/db/state\.db`, `not a (SQLite )?database`, `to cure|backup|restore`}},
	}
}

// TestBadInput: what a user gets wrong is said with its place, its reason and its cure, and nothing is touched.
func TestBadInput(t *testing.T) {
	n := newNode(t, nil, testhost.Disk(400<<20))
	_ = n.skerry(t, "version") // unpacks its own programs, which is all it may do
	for _, c := range badInputs() {
		t.Run(c.what, func(t *testing.T) {
			for file, text := range c.files {
				n.host.Write(file, []byte(text))
			}
			before := n.host.Snapshot()
			state := strings.Contains(strings.Join(slices.Collect(maps.Keys(c.files)), " "), serverDir)
			command := c.run
			if command == nil {
				command = []string{"skerry", "server"}
			}
			n.refuses(t, command, c.says)
			if changes := n.host.Snapshot().Since(before); len(changes) > 0 && !state {
				t.Errorf("touched: %q", changes[:min(20, len(changes))])
			}
			for file, text := range c.files { // bad state is found later; it must not get worse
				if now, err := n.host.Read(file); err != nil || string(now) != text {
					t.Errorf("%s is now %q, %v", file, now, err)
				}
			}
			n.forget(t)
		})
	}
	for what, clear := range map[string]string{"a full disk": "true", "a full disk before the first start": "rm -r /var/lib/skerry"} {
		t.Run(what, func(t *testing.T) {
			fill := clear + "; dd if=/dev/zero of=/var/lib/filler bs=64k; true" // dd ends when the disk is full
			if _, err := n.host.Run(t.Context(), "sh", "-c", fill); err != nil {
				t.Fatal(err)
			}
			n.refuses(t, []string{"skerry", "server"}, []string{`/var/lib`, `no space left|disk is full|free`})
			n.forget(t)
		})
	}
	t.Run("config check says the same", func(t *testing.T) {
		n.host.Write(configFile, []byte("tls-sans: [a.example]\n"))
		n.refuses(t, []string{"skerry", "config", "check"}, []string{`config\.yaml:1: unknown key "tls-sans"`})
		n.forget(t)
	})
}

// refuses wants the command to end soon, with an error code and a message that says all this and is no stack trace.
func (n *node) refuses(t *testing.T, command, says []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := n.host.Run(ctx, command...)
	if ctx.Err() != nil {
		t.Fatalf("it runs instead of refusing; it wrote\n%s\n%v", out, err)
	}
	if err == nil {
		t.Fatalf("it ended well; it wrote\n%s", out)
	}
	message := err.Error()
	for _, want := range says {
		if !regexp.MustCompile(want).MatchString(message) {
			t.Errorf("the message does not say %q; it is\n%s", want, tail(message, 20))
		}
	}
	if strings.Contains(message, "goroutine ") {
		t.Errorf("a stack trace is no message:\n%s", tail(message, 30))
	}
}

// forget makes the host as new for the next mistake, but for skerry's own unpacked programs.
func (n *node) forget(t *testing.T) {
	t.Helper()
	n.host.PowerCycle()
	clean := "rm -rf /etc/skerry /var/lib/filler /var/lib/cni /var/log/pods /var/log/containers; " +
		"mkdir -p /var/lib/skerry; find /var/lib/skerry -mindepth 1 -maxdepth 1 ! -name data -exec rm -rf {} +"
	if _, err := n.host.Run(t.Context(), "sh", "-c", clean); err != nil {
		t.Fatal(err)
	}
	_ = n.skerry(t, "version") // unpacks them, if they are gone
}
