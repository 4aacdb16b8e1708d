package host

import (
	"slices"
	"testing"
)

func TestFootprintNamesTheCgroupOfEitherDriver(t *testing.T) {
	changes := Footprint(Layout{PodCgroup: "/kubepods"})
	for _, want := range []string{"/kubepods", "/kubepods.slice"} {
		if !slices.Contains(changes, Change(Cgroup{Path: want})) {
			t.Errorf("pods in %s would outlive a reset", want)
		}
	}
}

func TestFootprintEndsWhatRunsBeforeWhatItHolds(t *testing.T) {
	changes := Footprint(Layout{})
	last := changes[len(changes)-1]
	if last.kind() != "processes" {
		t.Errorf("undo begins with %s, want processes", last.kind())
	}
	for i, c := range changes {
		if c.kind() == "dir" && i > 0 && changes[i-1].kind() != "dir" {
			t.Errorf("%s is undone before the mounts in it", c.id())
		}
	}
}
