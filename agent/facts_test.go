package agent

import "testing"

func TestOnlyLoopback(t *testing.T) {
	for text, want := range map[string]bool{
		"nameserver 127.0.0.53\noptions edns0\n":       true,
		"nameserver ::1\nnameserver 127.0.0.1\n":       true,
		"nameserver 127.0.0.1\nnameserver 192.0.2.1\n": false,
		"search example\n":                             false,
		"# nameserver 127.0.0.1\n":                     false,
		"":                                             false,
	} {
		if got := onlyLoopback([]byte(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
