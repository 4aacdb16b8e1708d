package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/datastore/powercut"
)

// PowerCut records what a process asks of the disk while it writes, and opens what the disk may hold when the power is cut at each of
// so many moments: all that was answered by then must be there.
func PowerCut(t *testing.T, c Crasher, cuts int) {
	dir := t.TempDir()
	order, err := json.Marshal(order{Dir: dir, Each: 400, Watch: true})
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log, err := powercut.Record(powercut.Process{Program: program, Args: []string{"-test.run=^" + c.Child + "$"}, Input: strings.NewReader(string(order)), Dir: dir})
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Count(log.Said(log.Len()), "@did")
	t.Logf("%d things were asked of the disk, and %d writes answered", log.Len(), said)
	if said < 400 {
		t.Fatalf("only %d writes were answered", said)
	}
	seed := rand.Uint64()
	for cut := range cuts {
		chance := rand.New(rand.NewPCG(seed, uint64(cut)))
		at := chance.IntN(log.Len() + 1)
		if moments := log.Moments(); cut%2 == 0 { // where most can go wrong
			at = moments[chance.IntN(len(moments))]
		}
		place := filepath.Join(t.TempDir(), fmt.Sprint(cut))
		if err := errors.Join(os.Mkdir(place, 0o700), log.After(at, chance, dir, place)); err != nil {
			t.Fatal(err)
		}
		w := &witness{sure: map[string]string{}, tried: map[string][]string{}}
		w.listen(strings.NewReader(log.Said(at)))
		w.check(t, c, place)
		if t.Failed() {
			t.Fatalf("the power was cut at %d of %d (seed %d, cut %d)", at, log.Len(), seed, cut)
		}
		if err := os.RemoveAll(place); err != nil {
			t.Fatal(err)
		}
	}
}
