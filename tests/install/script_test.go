package install_test

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestScriptInstalls: the program is fetched, checked, put in its place, and called.
func TestScriptInstalls(t *testing.T) {
	_ = fetcher(t)
	h := newHost(t, false)
	h.serve([]byte(standIn))
	for _, shell := range []string{"dash", "busybox sh", "bash --posix"} {
		t.Run(shell, func(t *testing.T) {
			needs(t, strings.Fields(shell)[0])
			h.must("rm", "-f", binary)
			out, err := h.try(download(), "sh", "-c", shell+" -s -- --skip-start <"+script)
			if err != nil || !strings.Contains(out, "called: install --bin-dir /usr/local/bin --skip-start") {
				t.Fatal(out)
			}
			if got := h.must("stat", "-c", "%a %u", binary); got != "755 0\n" {
				t.Errorf("mode and owner of the program are %s", got)
			}
		})
	}
	t.Run("another directory, with wget", func(t *testing.T) {
		needs(t, "wget")
		tools(h, "wget")
		out, err := h.try(download("INSTALL_SKERRY_BIN_DIR=/opt/bin", "PATH=/opt/tools"), "/bin/sh", script)
		if err != nil || !strings.Contains(out, "called: install --bin-dir /opt/bin") {
			t.Fatal(out)
		}
	})
}

// tools makes /opt/tools with what the script needs of a host, and some more.
func tools(h host, more ...string) {
	h.t.Helper()
	names := append(strings.Fields("sh uname id awk sha256sum mktemp rm cp mv chmod chown mkdir cmp dirname"), more...)
	h.must("sh", "-c", "rm -rf /opt/tools; mkdir /opt/tools; for n in "+strings.Join(names, " ")+"; do ln -s $(command -v $n) /opt/tools/$n; done")
}

// TestScriptRefuses: what is wrong with a release or a host is said, and nothing changes.
func TestScriptRefuses(t *testing.T) {
	_ = fetcher(t)
	h := newHost(t, false)
	h.program(binary, "#!/bin/sh\necho old\n")
	program := []byte(standIn)
	serve := func(sub string, answer func(http.ResponseWriter)) string {
		h.web.HandleFunc("/"+sub+"/"+artifact(), func(w http.ResponseWriter, _ *http.Request) { answer(w) })
		h.web.HandleFunc("/"+sub+"/sha256sum.txt", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(sums(program))) })
		return "INSTALL_SKERRY_ARTIFACT_URL=http://" + port + "/" + sub
	}
	for name, from := range map[string]struct {
		variable string
		words    []string
	}{
		"a wrong checksum": {serve("wrong", func(w http.ResponseWriter) { _, _ = w.Write([]byte(standIn + "#")) }), []string{"checksum", artifact()}},
		"a connection that breaks off": {serve("cut", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = w.Write(program)
		}), []string{"cannot get", artifact()}},
		"a short file":     {serve("short", func(w http.ResponseWriter) { _, _ = w.Write(program[:10]) }), []string{"checksum"}},
		"no such file":     {serve("none", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }), []string{"cannot get", artifact()}},
		"no such release":  {"INSTALL_SKERRY_ARTIFACT_URL=http://" + port + "/nothing", []string{"cannot get", "sha256sum.txt"}},
		"a server is gone": {"INSTALL_SKERRY_ARTIFACT_URL=http://127.0.0.1:9", []string{"cannot get"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := host{Host: h.Host, t: t}
			h.fails([]string{from.variable}, from.words, "sh", script)
		})
	}
	t.Run("neither curl nor wget", func(t *testing.T) {
		tools(h)
		host{Host: h.Host, t: t}.fails([]string{"PATH=/opt/tools"}, []string{"curl", "wget"}, "/bin/sh", script)
	})
	t.Run("neither root nor sudo", func(t *testing.T) {
		tools(h)
		h.must("cp", script, "/opt/install.sh")
		host{Host: h.Host, t: t}.fails([]string{"PATH=/opt/tools"}, []string{"as root"}, "/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "/bin/sh", "/opt/install.sh")
	})
	t.Run("no space", func(t *testing.T) {
		h.must("sh", "-c", "mkdir /opt/small && mount -t tmpfs -o size=64k small /opt/small && echo old >/opt/small/skerry")
		large := serve("large", func(w http.ResponseWriter) { _, _ = w.Write(program) })
		program = append(program, bytes.Repeat([]byte("#\n"), 100_000)...)
		host{Host: h.Host, t: t}.fails([]string{large, "INSTALL_SKERRY_BIN_DIR=/opt/small"}, []string{"is there space"}, "sh", script)
		if left := h.must("ls", "-A", "/opt/small"); left != "skerry\n" {
			t.Errorf("/opt/small holds %q", left)
		}
	})
	t.Run("another kind of machine", func(t *testing.T) {
		tools(h)
		h.must("rm", "/opt/tools/uname")
		h.program("/opt/tools/uname", "#!/bin/sh\n[ \"$1\" = -s ] && echo Linux || echo riscv64\n")
		host{Host: h.Host, t: t}.fails([]string{"PATH=/opt/tools"}, []string{"riscv64"}, "/bin/sh", script)
	})
}

// TestHalfAScriptDoesNothing: a download of the script that breaks off runs no part of it.
func TestHalfAScriptDoesNothing(t *testing.T) {
	h := newHost(t, false)
	h.serve([]byte(standIn))
	text, err := os.ReadFile("../../install.sh")
	if err != nil {
		t.Fatal(err)
	}
	whole := bytes.LastIndex(text, []byte("main"))
	h.Write("/root/half", nil)
	for end := 40; end <= whole; end += 211 {
		h.Write("/root/half", text[:min(end, whole)])
		_, _ = h.try(download(), "sh", "/root/half") // whether it fails does not matter
		if _, err := h.Read(binary); err == nil {
			t.Fatalf("the first %d bytes of the script installed the program", end)
		}
	}
}

// TestScriptWithoutNetwork: the program comes from a directory, checked if there is a checksum.
func TestScriptWithoutNetwork(t *testing.T) {
	h := newHost(t, false)
	offline := []string{"INSTALL_SKERRY_SKIP_DOWNLOAD=true"}
	h.fails(offline, []string{"there is no " + artifact()}, "sh", script)

	h.must("mkdir", "/opt/stick")
	h.Write("/opt/stick/"+artifact(), []byte(standIn))
	h.Write("/opt/stick/sha256sum.txt", []byte(sums([]byte("another"))))
	h.must("cp", script, "/opt/stick/install.sh")
	h.fails(offline, []string{"checksum"}, "sh", "/opt/stick/install.sh")

	h.Write("/opt/stick/sha256sum.txt", []byte(sums([]byte(standIn))))
	installs := func(what string, args ...string) {
		t.Helper()
		if out, err := h.try(offline, args...); err != nil || !strings.Contains(out, "called: install") || !strings.Contains(out, what) {
			t.Error(out)
		}
	}
	installs("put the program", "sh", "/opt/stick/install.sh")
	installs("already", "sh", "/opt/stick/install.sh")
	h.must("rm", binary)
	installs("is right", "sh", "-c", "cd /opt/stick && sh -s <"+script)
	installs("as it is", "sh", script)
	h.must("rm", binary, "/opt/stick/sha256sum.txt")
	h.must("mv", "/opt/stick/"+artifact(), "/opt/stick/skerry")
	installs("not checked", "sh", "/opt/stick/install.sh")
}
