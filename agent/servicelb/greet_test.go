package servicelb

import (
	"net/netip"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/host/nstest"
)

// TestOthersHearOfAMachineThatIsNew: of the addresses that it names and has, and of no others.
func TestOthersHearOfAMachineThatIsNew(t *testing.T) {
	if !nstest.Inside(t) {
		return
	}
	cable(t)
	own := named(t, "up0").Attrs().HardwareAddr.String()
	for ip, ours := range map[string]bool{"192.0.2.1": true, "2001:db8::1": true, "192.0.2.2": false} {
		there := dialed(t, ip, "up1")
		if err := Greet([]netip.Addr{netip.MustParseAddr(ip), netip.MustParseAddr("127.0.0.1")}); err != nil {
			t.Error(err)
		}
		if who := hears(there, 500*time.Millisecond); (who == own) != ours || who != "" && !ours {
			t.Errorf("%s is said to be with %q, and is with %s", ip, who, own)
		}
		there.close()
	}
}
