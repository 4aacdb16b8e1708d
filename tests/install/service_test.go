package install_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	unit    = "/etc/systemd/system/skerry.service"
	envFile = "/etc/skerry/skerry.env"
	// waitForLock is how long a program may take to start.
	waitForLock = 10 * time.Second
)

// TestServiceComesAndGoes: install makes the service, again without a change restarts nothing, and uninstall leaves the host
// as it was before install.sh.
func TestServiceComesAndGoes(t *testing.T) {
	program := real(t)
	h := newHost(t, true)
	h.serve(program)
	h.program("/usr/local/bin/crictl", "#!/bin/sh\n") // somebody's own
	tools(h, fetcher(t))                              // the machine may have a kubectl
	before := h.Snapshot()

	install := func(t *testing.T, environ ...string) []string {
		t.Helper()
		out, err := h.try(download(append(environ, "PATH=/usr/local/bin:/opt/tools")...), "sh", script)
		if err != nil {
			t.Fatal(out)
		}
		t.Log(out)
		return h.systemctl()
	}
	calls := func(t *testing.T, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("systemctl was called with %q, not %q", got, want)
		}
	}
	const reload, enable, start, restart = "daemon-reload", "enable skerry.service", "start skerry.service", "restart skerry.service"

	t.Run("first", func(t *testing.T) {
		got := install(t, "SKERRY_TOKEN=se cret$", "HTTPS_PROXY=http://proxy:3128", "INSTALL_SKERRY_EXEC=server --node-label 'a=b'")
		calls(t, got, reload, enable, restart)
		h.contains(unit, "ExecStart=/usr/local/bin/skerry server --node-label a=b\n", "Type=notify", "KillMode=process", "EnvironmentFile=-"+envFile)
		h.contains(envFile, `SKERRY_TOKEN="se cret\$"`, `HTTPS_PROXY="http://proxy:3128"`)
		if mode := h.must("stat", "-c", "%a", envFile); mode != "600\n" {
			t.Errorf("the file with the token has mode %s", mode)
		}
		for link, want := range map[string]string{"kubectl": "skerry", "ctr": "skerry", "crictl": ""} {
			if got := h.must("sh", "-c", "readlink /usr/local/bin/"+link+" || true"); strings.TrimSpace(got) != want {
				t.Errorf("%s is a link to %q, not %q", link, got, want)
			}
		}
	})
	t.Run("again without a change", func(t *testing.T) { calls(t, install(t), reload, enable, start) })
	t.Run("what the service runs stays", func(t *testing.T) { h.contains(unit, "skerry server --node-label a=b\n") })
	t.Run("other variables", func(t *testing.T) {
		calls(t, install(t, "SKERRY_NODE_NAME=pi"), reload, enable, restart)
		h.contains(envFile, "SKERRY_TOKEN=", `SKERRY_NODE_NAME="pi"`)
	})
	t.Run("another command, not started", func(t *testing.T) {
		calls(t, install(t, "INSTALL_SKERRY_EXEC=--debug", "INSTALL_SKERRY_SKIP_START=true", "INSTALL_SKERRY_SKIP_ENABLE=true"), reload)
		h.contains(unit, "skerry server --debug\n")
	})
	t.Run("the start that was left out", func(t *testing.T) { calls(t, install(t), reload, enable, restart) })
	t.Run("by force", func(t *testing.T) { calls(t, install(t, "INSTALL_SKERRY_FORCE_RESTART=true"), reload, enable, restart) })
	t.Run("a command that cannot start", func(t *testing.T) {
		h := host{Host: h.Host, t: t}
		h.fails(download("INSTALL_SKERRY_EXEC=server --no-such-flag"), []string{"no-such-flag"}, "sh", script)
	})
	t.Run("over a running node", func(t *testing.T) {
		h := host{Host: h.Host, t: t}
		node := h.runningNode()
		calls(t, install(t), reload, enable, start)
		if out, err := h.try(nil, binary, "uninstall", "--yes"); err == nil || !strings.Contains(out, "skerry runs on this data directory") {
			t.Error(out)
		}
		node.Kill()
		h.must("rm", "-f", "/var/lib/skerry/ledger.jsonl")
		_ = h.systemctl()
	})
	t.Run("uninstall", func(t *testing.T) {
		h := host{Host: h.Host, t: t}
		h.fails(nil, []string{"--yes"}, binary, "uninstall")
		t.Log(h.must(binary, "uninstall", "--yes"))
		calls(t, h.systemctl(), "stop skerry.service", "disable --now skerry.service", reload)
		h.same(before)
	})
}

// TestAgent: a URL makes the service an agent; what could not join is told before anything is changed.
func TestAgent(t *testing.T) {
	_ = fetcher(t)
	h := newHost(t, true)
	h.serve(real(t))
	const url = "SKERRY_URL=https://10.0.0.1:6443"
	for word, environ := range map[string][]string{
		"needs the token": {url},
		"https://":        {"SKERRY_URL=http://10.0.0.1:6443", "SKERRY_TOKEN=x"},
		"damaged":         {url, "SKERRY_TOKEN=SK1x"},
	} {
		if out, err := h.try(download(environ...), "sh", script); err == nil || !strings.Contains(out, word) {
			t.Errorf("with %q: %v, %s", environ, err, out)
		}
		if out, err := h.try(nil, "ls", envFile); err == nil {
			t.Errorf("with %q something was kept: %s", environ, out)
		}
	}
	if out, err := h.try(download(url, "SKERRY_TOKEN=x", "INSTALL_SKERRY_NAME=skerry-agent", "INSTALL_SKERRY_SKIP_START=true"), "sh", script); err != nil {
		t.Fatal(out)
	}
	h.contains("/etc/systemd/system/skerry-agent.service", "ExecStart=/usr/local/bin/skerry agent\n", "EnvironmentFile=-"+envFile)
	h.contains(envFile, `SKERRY_URL="https://10.0.0.1:6443"`, `SKERRY_TOKEN="x"`)
}

// TestNoInitSystem: a host that cannot run a service is told how to run the program.
func TestNoInitSystem(t *testing.T) {
	_ = fetcher(t)
	h := newHost(t, false)
	h.serve(real(t))
	before := h.Snapshot()
	out, err := h.try(download("SKERRY_NODE_NAME=pi"), "sh", script)
	if err != nil || !strings.Contains(out, "no init system") || !strings.Contains(out, ". "+envFile+"; exec /usr/local/bin/skerry server )") {
		t.Fatal(out)
	}
	h.must(binary, "uninstall", "--yes")
	h.same(before)
}

// TestOpenRC: a host with OpenRC gets a script in place of a unit.
func TestOpenRC(t *testing.T) {
	_ = fetcher(t)
	h := newHost(t, false)
	h.serve(real(t))
	overlay := "mount -t tmpfs over /opt && mkdir /opt/new /opt/work && mount -t overlay over -o lowerdir=/sbin,upperdir=/opt/new,workdir=/opt/work $(readlink -f /sbin)"
	if out, err := h.try(nil, "sh", "-c", overlay); err != nil {
		t.Skipf("no OpenRC can be laid over /sbin here: %s", out)
	}
	h.program("/usr/sbin/openrc-run", "#!/bin/sh\n")
	for _, name := range []string{"rc-service", "rc-update"} {
		h.program("/usr/local/bin/"+name, "#!/bin/sh\necho \"${0##*/} $*\" >>"+systemctlLog+"\n")
	}
	before := h.Snapshot()
	if out, err := h.try(download("INSTALL_SKERRY_EXEC=server --node-label 'a=b'"), "sh", script); err != nil {
		t.Fatal(out)
	}
	h.contains("/etc/init.d/skerry", "supervisor=supervise-daemon", "command=/usr/local/bin/skerry\n", `command_args="server --node-label a=b"`)
	h.must("sh", "-n", "/etc/init.d/skerry")
	h.must(binary, "uninstall", "--yes")
	want := []string{"rc-update add skerry default", "rc-service skerry restart", "rc-service --ifstarted skerry stop",
		"rc-service --ifstarted skerry stop", "rc-update del skerry default"}
	if got := h.systemctl(); !slices.Equal(got, want) {
		t.Errorf("OpenRC was called with %q, not %q", got, want)
	}
	h.same(before)
}

// TestUsersFilesStay: uninstall takes nothing that the user made or changed.
func TestUsersFilesStay(t *testing.T) {
	_ = fetcher(t)
	h := newHost(t, true)
	h.serve(real(t))
	h.must("mkdir", "-p", "/etc/skerry")
	h.Write("/etc/skerry/config.yaml", []byte("node-label: [mine=yes]\n"))
	h.program("/usr/local/bin/kubectl", "#!/bin/sh\necho mine\n")
	before := h.Snapshot()
	if out, err := h.try(download("INSTALL_SKERRY_SYMLINK=force"), "sh", script); err != nil {
		t.Fatal(out)
	}
	if got := h.must("readlink", "/usr/local/bin/kubectl"); got != "skerry\n" {
		t.Errorf("with force, kubectl is %s", got)
	}
	h.must(binary, "uninstall", "--yes")
	h.same(before)
}

// runningNode holds the ledger of the default data directory, as a node does.
func (h host) runningNode() interface{ Kill() } {
	h.t.Helper()
	const ledger = "/var/lib/skerry/ledger.jsonl"
	h.must("mkdir", "-p", "/var/lib/skerry")
	node := h.Start("flock", "--no-fork", ledger, "sleep", "600")
	h.Eventually(waitForLock, "the ledger is held", func() error {
		_, err := h.try(nil, "sh", "-c", "! flock --nonblock "+ledger+" true")
		return err
	})
	return node
}

// contains looks for words in a file of the host.
func (h host) contains(path string, words ...string) {
	h.t.Helper()
	text, err := h.Read(path)
	if err != nil {
		h.t.Error(err)
	}
	for _, w := range words {
		if !strings.Contains(string(text), w) {
			h.t.Errorf("%s does not say %q:\n%s", path, w, text)
		}
	}
}
