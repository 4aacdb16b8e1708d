package install

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                                    nil,
		"  server\t--debug ":                  {"server", "--debug"},
		`server --node-name "a b" 'c "d"'`:    {"server", "--node-name", "a b", `c "d"`},
		`--x='' ''`:                           {"--x=", ""},
		`a\ b "c\"d" 'e\f'`:                   {"a b", `c"d`, `e\f`},
		`server --kubelet-arg=x="1,2"y --z=$`: {"server", `--kubelet-arg=x=1,2y`, "--z=$"},
	} {
		got, err := Words(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q (%v), want %q", line, got, err, want)
		}
		again, err := Words(CommandLine(got))
		if err != nil || !slices.Equal(again, got) {
			t.Errorf("%s: joined and split again it is %q (%v)", line, again, err)
		}
	}
	for _, line := range []string{`a "b`, `a 'b`, `a\`} {
		if got, err := Words(line); err == nil {
			t.Errorf("%s: got %q, want an error", line, got)
		}
	}
}

func TestEnvironmentFileIsMerged(t *testing.T) {
	old := "# mine\nSKERRY_TOKEN=\"old\"\nSKERRY_NODE_NAME=\"pi\"\nOTHER=1\n"
	got, err := mergeEnviron(old, []string{"HOME=/root", "SKERRY_TOKEN=a\"b$c`d\\e f", "https_proxy=http://p:1", "SKERRYX=1"})
	if err != nil {
		t.Fatal(err)
	}
	want := "# mine\nSKERRY_TOKEN=\"a\\\"b\\$c\\`d\\\\e f\"\nSKERRY_NODE_NAME=\"pi\"\nOTHER=1\nhttps_proxy=\"http://p:1\"\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if read := readEnviron(got); !slices.Contains(read, "SKERRY_TOKEN=a\"b$c`d\\e f") || !slices.Contains(read, "OTHER=1") {
		t.Errorf("read back as %q", read)
	}
	if _, err := mergeEnviron("", []string{"SKERRY_TOKEN=a\nb"}); err == nil {
		t.Error("a value of two lines was taken")
	}
}

func TestUnitQuotesForSystemd(t *testing.T) {
	text := unit("notify", []string{"/usr/local/bin/skerry", "server", "--node-label", "a=b c", "--x=5%$Y"})
	for _, line := range []string{
		`ExecStart=/usr/local/bin/skerry server --node-label "a=b c" "--x=5%%$$Y"`,
		"Type=notify", "KillMode=process", "Delegate=yes", "RestartPreventExitStatus=2",
	} {
		if !slices.Contains(strings.Split(text, "\n"), line) {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}
