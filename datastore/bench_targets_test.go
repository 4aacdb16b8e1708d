package datastore_test

import (
	"fmt"
	"strings"
	"time"
)

// targets says how far the datastore is ahead of the others; the numbers that it is held to are of issue 5.
func (b *bench) targets() {
	b.table("64 clients | puts/s | p99 | written | wanted")
	b.ahead("kine modernc NORMAL", 64, "6, 10 and 12 times better, and more lasting")
	b.ahead("kine modernc FULL", 64, "6, 10 and 12 times better, as lasting")
	b.ahead("kine mattn NORMAL", 64, "")
	b.ahead("kine mattn FULL", 64, "")
	b.ahead("etcd", 64, "better")
	b.table("1 client | puts/s | p99 | written | wanted")
	b.ahead("kine modernc NORMAL", 1, "written 12 times less")
	b.ahead("kine modernc FULL", 1, "written 12 times less")
	b.ahead("etcd", 1, "")
	b.table("64 clients, a sync takes 10 ms | puts/s | wanted")
	ours := b.speeds[row(contestant{name: "skerry"}, 64, 10*time.Millisecond)]
	for _, name := range []string{"kine modernc NORMAL", "kine modernc FULL", "kine mattn NORMAL", "kine mattn FULL", "etcd"} {
		if theirs, there := b.speeds[row(contestant{name: name}, 64, 10*time.Millisecond)]; there {
			wanted := ""
			if strings.HasSuffix(name, "FULL") {
				wanted = "10 times better, as lasting"
			}
			fmt.Printf("| beside %s | %.1f times | %s |\n", name, ours.each/theirs.each, wanted)
		}
	}
}

// ahead compares ours with another engine.
func (b *bench) ahead(name string, clients int, wanted string) {
	us, them := row(contestant{name: "skerry"}, clients, 0), row(contestant{name: name}, clients, 0)
	ours, theirs := b.speeds[us], b.speeds[them]
	if theirs.each == 0 {
		return
	}
	fmt.Printf("| beside %s | %.1f times | 1/%.1f | 1/%.1f | %s |\n", name, ours.each/theirs.each,
		float64(theirs.p99)/float64(ours.p99), b.written[them]/b.written[us], wanted)
}
