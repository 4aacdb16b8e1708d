package main

import (
	"io"
	"strings"
	"testing"
)

const complete = "\n{\"Action\":\"complete\"}\n"

func TestBrokenOff(t *testing.T) {
	total, err := Read(strings.NewReader(`{"Action":"pass","Package":"p","Test":"A"}`), io.Discard)
	if err != nil || total.String() != "1 passed, 1 failed" {
		t.Errorf("%q, %v", total, err)
	}
}

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
		{"a part of a package that ends in the middle is a failure, whatever another part did", `
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}
{"Action":"run","Package":"p","Test":"B"}
{"Action":"fail","Package":"p"}`, "0 passed, 2 failed"},
		{"a command that ran nothing is a failure", `{"Action":"command-failed"}`, "0 passed, 1 failed"},
		{"a command that failed with its tests is not counted again", `
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"command-failed"}`, "0 passed, 1 failed"},
		{"a package without tests is nothing", `{"Action":"skip","Package":"p"}`, "0 passed, 0 failed"},
	} {
		total, err := Read(strings.NewReader(c.events+complete), io.Discard)
		if err != nil || total.String() != c.want {
			t.Errorf("%s: %q, %v, want %q", c.what, total, err, c.want)
		}
	}
}

// What ended a package comes before all that its tests said, of which there may be much.
func TestWhyAPackageEndedComesFirst(t *testing.T) {
	var said strings.Builder
	_, err := Read(strings.NewReader(`
{"Action":"output","Package":"p","Test":"A","Output":"by the way\n"}
{"Action":"output","Package":"p","Test":"B","Output":"at work\n"}
{"Action":"output","Package":"p","Test":"B","Output":"panic: no\n"}
{"Action":"output","Package":"p","Test":"B","Output":"goroutine 1\n"}
{"Action":"fail","Package":"p"}`), &said)
	want := []string{"panic: no", "goroutine 1", "by the way", "at work"}
	at := -1
	for _, line := range want {
		next := strings.Index(said.String(), line)
		if err != nil || next <= at {
			t.Fatalf("want %q in this order, got %v\n%s", want, err, &said)
		}
		at = next
	}
}
