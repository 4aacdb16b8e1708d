package dns

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

func custom(data map[string]string) *core.ConfigMap {
	return &core.ConfigMap{ObjectMeta: named("kube-system", customName), Data: data}
}

// said waits for something that a log or an event says.
func said(t *testing.T, what string, by func() string) {
	t.Helper()
	for began := time.Now(); !strings.Contains(by(), what); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("nobody said %q, but:\n%s", what, by())
		}
	}
}

func TestSettingsOfUsers(t *testing.T) {
	port := upstream(t, nil)
	a := sample(t)
	n := start(t, a, "", nil)
	n.eventually("A web.shop.svc.cluster.local", "A 10.43.7.7")

	good := map[string]string{
		"hosts.override": "hosts {\n  192.0.2.9 printer.lan\n  fallthrough\n}\nrewrite name shop.test web.shop.svc.cluster.local\ncache 5\n",
		"stub.server": `example:53 {
			errors
			cache 30
			forward . 127.0.0.1:` + strings.TrimPrefix(netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(), "0.0.0.0:") + `
			loop
			reload
		}`,
		"tmpl.server":  "one.test two.test {\n template IN A {\n  answer \"{{ .Name }} 60 IN A 192.0.2.77\"\n }\n}\n",
		"notes.readme": "not { a corefile",
	}
	a.put(configMaps, custom(good))
	n.eventually("A printer.lan", "A 192.0.2.9")
	for question, want := range map[string]string{
		"A shop.test":                  "A 10.43.7.7",
		"A www.example":                "A 192.0.2.1",
		"A x.one.test":                 "A 192.0.2.77",
		"A x.two.test":                 "A 192.0.2.77",
		"A web.shop.svc.cluster.local": "A 10.43.7.7",
		"A elsewhere":                  "SERVFAIL",
	} {
		if got := n.ask(question); got != want {
			t.Errorf("%s: got %s, want %s", question, got, want)
		}
	}

	a.put(configMaps, custom(map[string]string{"hosts.override": "hosts {\n 192.0.2.10 printer.lan\n", "b.server": "x.test {\n log\n}"}))
	said(t, "hosts.override", func() string { return strings.Join(a.told(), "\n") })
	if got := n.ask("A printer.lan"); got != "A 192.0.2.9" {
		t.Errorf("after a mistake: got %s", got)
	}
	if !strings.Contains(n.log.String(), "have a mistake") {
		t.Errorf("the log does not say it: %s", n.log)
	}
	n.write("nameserver 127.0.0.1\n") // the host goes on to matter, and the last good settings with it
	said(t, "servers=[127.0.0.1:", n.log.String)
	if got := n.ask("A printer.lan"); got != "A 192.0.2.9" {
		t.Errorf("after the host changed: got %s", got)
	}

	good["hosts.override"] = "hosts {\n 192.0.2.10 printer.lan\n fallthrough\n}\n"
	a.put(configMaps, custom(good))
	n.eventually("A printer.lan", "A 192.0.2.10")
	a.remove(configMaps, custom(nil))
	n.eventually("A x.one.test", "SERVFAIL")
	if told := a.told(); len(told) != 1 {
		t.Errorf("one mistake was told as %q", told)
	}
}

func TestMistakes(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("log"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ key, text, says string }{
		"an unknown plugin":           {"a.override", "whoami", "Unknown directive 'whoami'"},
		"one that could end the node": {"a.override", "debug", "Unknown directive 'debug'"},
		"one that knows the cluster":  {"a.server", "x {\n kubernetes y\n}", "Unknown directive"},
		"a brace too few":             {"a.override", "hosts {", "braces"},
		"a brace too many":            {"a.override", "log\n}", "braces"},
		"a block in the wrong place":  {"a.override", "log\n}\nx.test {\n log", "braces"},
		"a file of the node":          {"a.override", "import " + secret, "import"},
		"a variable of the node":      {"a.server", "x {\n template IN TXT {\n answer \"{$PATH}\"\n }\n}", "variables are those of the node"},
		"a wrong value":               {"a.override", "cache x y {\n success nine\n}", "nine"},
		"a server nobody can name":    {"a.server", "x.test {\n forward . not/a/file\n}", "not/a/file"},
		"another port":                {"a.server", "x.test:5353 {\n log\n}", "port 53 only"},
		"another protocol":            {"a.server", "tls://x.test {\n log\n}", "plain DNS"},
		"all names once more":         {"a.server", ".:53 {\n log\n}", "two blocks are for the zone ."},
		"a zone twice":                {"a.server", "x.test {\n log\n}\nX.test. {\n log\n}", "two blocks are for the zone x.test."},
		"cache twice":                 {"a.override", "cache 1\ncache 2", "a.override"},
	} {
		blocks, err := corefile(nil, map[string]string{c.key: c.text})
		if err == nil {
			_, err = newChain(blocks, nil)
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestServersOfTheHost(t *testing.T) {
	file := filepath.Join(t.TempDir(), "resolv.conf")
	own := []netip.Addr{netip.MustParseAddr("10.43.0.10")}
	for text, want := range map[string]string{
		"":                                 "",
		"# nameserver 192.0.2.1\n":         "",
		"nameserver 192.0.2.1":             "192.0.2.1:53",
		"nameserver\t192.0.2.1 # first\n;": "192.0.2.1:53",
		"nameserver 192.0.2.1\nsearch x\nnameserver fd00::1\nnameserver 192.0.2.1\n": "192.0.2.1:53 [fd00::1]:53",
		"nameserver fe80::1%lo\n":                         "[fe80::1%lo]:53",
		"nameserver 127.0.0.53\noptions edns0\n":          "127.0.0.53:53",
		"nameserver 10.43.0.10\nnameserver 192.0.2.2\n":   "192.0.2.2:53",
		"nameserver localhost\nnameserver ::ffff:1.2.3.4": "1.2.3.4:53",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range upstreams(file, 53, own) {
			got = append(got, u.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q", text, got)
		}
		blocks, err := corefile(upstreams(file, 53, own), nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := newChain(blocks, nil)
		if err != nil {
			t.Errorf("%q: CoreDNS does not take it: %v", text, err)
			continue
		}
		c.close()
	}
	if got := upstreams(filepath.Join(t.TempDir(), "none"), 53, nil); got != nil {
		t.Errorf("no file: got %v", got)
	}
}

// A host's resolv.conf is often a link to a file that is replaced.
func TestTheFileBehindALink(t *testing.T) {
	port := upstream(t, nil)
	dir := t.TempDir()
	n := start(t, sample(t), "", func(c *Config) {
		c.upstreamPort = port
		file := filepath.Join(dir, "resolv.conf")
		if err := os.Mkdir(filepath.Join(dir, "run"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("run/real", file); err != nil {
			t.Fatal(err)
		}
		c.ResolvConf = func() string { return file }
	})
	if got := n.ask("A www.example"); got != "SERVFAIL" {
		t.Errorf("got %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), []byte("nameserver 127.0.0.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "run", "real")); err != nil {
		t.Fatal(err)
	}
	n.eventually("A www.example", "A 192.0.2.1")
}
