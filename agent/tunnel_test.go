package agent

import "testing"

func TestKubeletPortOf(t *testing.T) {
	for want, flags := range map[uint16][]string{
		kubeletPort: {"v=2", "read-only-port=10255"},
		20250:       {"--port=20251", "port=20250"},
		0:           {"port=many"},
	} {
		if got, err := kubeletPortOf(flags); got != want || (err != nil) != (want == 0) {
			t.Errorf("%v: got %d, %v", flags, got, err)
		}
	}
}
