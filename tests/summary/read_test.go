package main

import (
	"io"
	"strings"
	"testing"
)

func TestTotals(t *testing.T) {
	for _, c := range []struct{ what, events, want string }{
		{"leaves are counted, their parents are not", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"run","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"fail","Package":"p","Test":"A/y"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, "1 passed, 1 failed"},
		{"a parent that fails by itself is counted", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, "1 passed, 1 failed"},
		{"skips are said", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"skip","Package":"p","Test":"A"}
{"Action":"run","Package":"p","Test":"B"}
{"Action":"pass","Package":"p","Test":"B"}
{"Action":"pass","Package":"p"}`, "1 passed, 0 failed, 1 skipped"},
		{"a package that does not build is a failure", `
{"Action":"build-output","ImportPath":"p","Output":"no such thing\n"}
{"Action":"build-fail","ImportPath":"p"}
{"Action":"fail","Package":"p"}`, "0 passed, 1 failed"},
		{"a package that ends in the middle is a failure", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"panic: no\n"}
{"Action":"fail","Package":"p"}`, "0 passed, 1 failed"},
		{"a command that ran nothing is a failure", `{"Action":"command-failed"}`, "0 passed, 1 failed"},
		{"a command that failed with its tests is not counted again", `
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"command-failed"}`, "0 passed, 1 failed"},
		{"a package without tests is nothing", `{"Action":"skip","Package":"p"}`, "0 passed, 0 failed"},
	} {
		total, err := Read(strings.NewReader(c.events), io.Discard)
		if err != nil || total.String() != c.want {
			t.Errorf("%s: %q, %v, want %q", c.what, total, err, c.want)
		}
	}
}
