package etcd

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// What etcd does not say to whom it should is no start that hangs, and its directory is left alone: it may be written to still.
func TestAStartThatHangs(t *testing.T) {
	t.Parallel()
	c := newSite(t).member(1)
	if err := os.MkdirAll(c.database(), 0o700); err != nil {
		t.Fatal(err)
	}
	c = c.tuned()
	settings := c.settings()
	settings.InitialCluster, settings.InitialClusterToken = c.Name+"="+c.PeerURL(), token()
	_, _, err := launch(c, settings)
	if !errors.As(err, &damaged{}) || !errors.As(err, &abandoned{}) || !errors.Is(err, syscall.EISDIR) {
		t.Errorf("it ends with %v", err)
	}
}
