package dns

import (
	"os"
	"testing"
)

// TestMain switches off what the program switches off: with it, a client that waits to try again does not hear that it is to end.
func TestMain(m *testing.M) {
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
