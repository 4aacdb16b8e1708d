package local_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/local"
	"github.com/skerry-io/skerry/datastore/storetest"
)

// suite opens the datastore as configured.
func suite(c local.Config) storetest.Engine {
	return storetest.Engine{Open: func(t testing.TB, dir string) (datastore.Store, func()) {
		c := c // tests run side by side
		c.Dir, c.Log = dir, slog.New(slog.DiscardHandler)
		store, done, err := local.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return store, done
	}}
}

func TestSuite(t *testing.T)       { storetest.Run(t, suite(local.Config{})) }
func TestSuiteOnDisk(t *testing.T) { storetest.Run(t, suite(local.Config{DiskOnly: true})) }
func TestSuiteInterval(t *testing.T) {
	storetest.Run(t, suite(local.Config{CommitInterval: 100 * time.Millisecond}))
}
