package hostcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/host"
)

func TestRunFindsSomethingForEveryCheckAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	results := Run(Options{DataDir: dir})
	if len(results) != len(checks()) {
		t.Fatalf("%d results of %d checks", len(results), len(checks()))
	}
	for _, r := range results {
		if r.Name == "" || r.Found == "" || r.Level == "" {
			t.Errorf("empty finding: %+v", r)
		}
		if r.Level == Fail && r.Cure == "" {
			t.Errorf("no cure: %+v", r)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in the data directory: %v, %v", left, err)
	}
	if testing.Verbose() {
		if err := Print(os.Stdout, results); err != nil {
			t.Error(err)
		}
	}
}

func TestPanicOfACheckIsAFinding(t *testing.T) {
	r := check{"odd", func(Options) Result { panic("no such system call") }}.run(Options{})
	if r.Level != Warn || !strings.Contains(r.Found, "no such system call") || r.Name != "odd" {
		t.Errorf("got %+v", r)
	}
}

func TestJudgements(t *testing.T) {
	all := []string{"cpu", "cpuset", "memory", "pids"}
	for name, c := range map[string]struct {
		got  Result
		want Level
		says string
	}{
		"no cgroups":           {judgeCgroups(host.Cgroups{Version: host.CgroupNone}, ""), Fail, "mount -t cgroup2"},
		"Pi without memory":    {judgeCgroups(host.Cgroups{Version: host.CgroupV2, Controllers: []string{"cpu", "cpuset", "pids"}}, "/boot/firmware/cmdline.txt"), Fail, "cgroup_enable=memory` to the one line of /boot/firmware/cmdline.txt"},
		"board without memory": {judgeCgroups(host.Cgroups{Version: host.CgroupV2, Controllers: []string{"cpu", "cpuset", "pids"}}, ""), Fail, "boot the kernel"},
		"v1":                   {judgeCgroups(host.Cgroups{Version: host.CgroupV1, Controllers: all}, ""), Warn, "v1"},
		"v2":                   {judgeCgroups(host.Cgroups{Version: host.CgroupV2, Controllers: all}, ""), OK, "v2"},
		"capitals":             {judgeName("RaspberryPi"), Info, "raspberrypi"},
		"underscore":           {judgeName("my_host"), Fail, "--node-name"},
		"localhost":            {judgeName("localhost.localdomain"), Warn, "clash"},
		"good name":            {judgeName("edge-1.plant"), OK, "edge-1.plant"},
		"read-only":            {judgeDisk("/d", true, 1<<40), Fail, "read-only"},
		"full":                 {judgeDisk("/d", false, 100<<20), Fail, "100 MB"},
		"nearly full":          {judgeDisk("/d", false, 1<<30), Warn, "1024 MB"},
		"room":                 {judgeDisk("/d", false, 9<<30), OK, "9 GB"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.got.Level != c.want || !strings.Contains(c.got.Found+" "+c.got.Cure, c.says) {
				t.Errorf("got %+v", c.got)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	results := []Result{{Name: "a", Level: OK, Found: "fine"}, {Name: "b", Level: Fail, Found: "bad", Cure: "mend it"}}
	var text, packed bytes.Buffer
	if err := errors.Join(Print(&text, results), PrintJSON(&packed, results)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ok    a", "FAIL  b", "to cure: mend it", "1 ok, 0 warnings, 1 failed: this host cannot"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	var back []Result
	if err := json.Unmarshal(packed.Bytes(), &back); err != nil || len(back) != 2 || back[1].Cure != "mend it" {
		t.Errorf("json: %s, %v", packed.Bytes(), err)
	}
	if !Failed(results) || Failed(results[:1]) {
		t.Error("Failed is wrong")
	}
}

func TestParseConfig(t *testing.T) {
	got := parseConfig([]byte("CONFIG_VETH=m\n# CONFIG_VXLAN is not set\nCONFIG_BRIDGE=y\nCONFIG_HZ=250\n"))
	if got["VETH"] != "m" || got["BRIDGE"] != "y" || got["VXLAN"] != "" || got["HZ"] != "" {
		t.Errorf("got %v", got)
	}
}
