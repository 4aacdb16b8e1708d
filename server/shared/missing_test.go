package shared

import (
	"slices"
	"testing"
)

func TestAFileThatIsMissingOnOneServerStaysOnTheOthers(t *testing.T) {
	s := store(t)
	a := newMachine(t).first("one")
	a.put("cred/encryption-config.json", "keys")
	b := copyOf(a)
	ka, kb := a.keeper(), b.keeper()
	run(t, ka, s)
	run(t, kb, s)
	b.lose("cred/encryption-config.json")
	b.put("agent-token", "for agents") // something to publish
	publish(t, kb)
	until(t, "the other server has heard", func() bool { return a.has("agent-token") == "for agents" })
	if a.has("cred/encryption-config.json") != "keys" {
		t.Error("the keys are gone everywhere")
	}
	a.put("token", "two")
	publish(t, ka)
	until(t, "it comes back", func() bool { return b.has("token") == "two" && b.has("cred/encryption-config.json") == "keys" })
}

func TestAFileThatTheClusterDoesNotKnowYetStays(t *testing.T) {
	s := store(t)
	a := newMachine(t).first("one")
	b := copyOf(a)
	b.put("cred/encryption-config.json", "keys")                                                                  // before the upgrade already
	a.Names = slices.DeleteFunc(names(), func(name string) bool { return name == "cred/encryption-config.json" }) // the former release
	run(t, a.keeper(), s)
	run(t, b.keeper(), s)
	if b.has("cred/encryption-config.json") != "keys" {
		t.Error("it was removed")
	}
	c := copyOf(a)
	c.Names = names()
	run(t, c.keeper(), s)
	if c.has("cred/encryption-config.json") != "keys" {
		t.Error("it did not reach the next server")
	}
}

func publish(t *testing.T, k *Keeper) {
	t.Helper()
	if err := k.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
}
