package idle

import "testing"

func TestReadOnly(t *testing.T) {
	const program = "/opt/x y"
	for name, c := range map[string]struct {
		line         string
		from, length uintptr
		ok           bool
	}{
		"code":           {"00400000-04bb0000 r-xp 00000000 fe:00 12    /opt/x y", 0x400000, 0x47b0000, true},
		"constants":      {"04bb0000-04bb1000 r--p 047b0000 fe:00 12    /opt/x y", 0x4bb0000, 0x1000, true},
		"data":           {"09bc4000-09d6a000 rw-p 097c4000 fe:00 12    /opt/x y", 0, 0, false},
		"another file":   {"7f000000-7f001000 r--p 00000000 fe:00 13    /opt/x yz", 0, 0, false},
		"no file":        {"c000000000-c000400000 rw-p 00000000 00:00 0 ", 0, 0, false},
		"not to be read": {"7f000000-7f001000 ---p 00000000 fe:00 12    /opt/x y", 0, 0, false},
		"not of a map":   {"", 0, 0, false},
		"a removed file": {"00400000-04bb0000 r-xp 00000000 fe:00 12    /opt/x y (deleted)", 0, 0, false},
	} {
		from, length, ok := readOnly(c.line, program)
		if ok != c.ok || ok && (from != c.from || length != c.length) {
			t.Errorf("%s: %#x %#x %t", name, from, length, ok)
		}
	}
}

func TestTheProgramGoesOn(t *testing.T) {
	if err := SmallPages(); err != nil {
		t.Error(err)
	}
	TestReadOnly(t) // code and constants are still there
}
