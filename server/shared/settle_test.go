package shared

import (
	"context"
	"errors"
	"os"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestAnInstallThatIsCutOffIsDoneAgain(t *testing.T) {
	a := newMachine(t).first("one")
	a.put("agent-token", "for agents")
	files, err := a.Read()
	if err != nil {
		t.Fatal(err)
	}
	b := newMachine(t)
	if err := os.Mkdir(b.path("agent-token"), 0o700); err != nil { // what comes late cannot be written
		t.Fatal(err)
	}
	b.Names = []string{"tls/server-ca.crt", authority, "token", "agent-token"}
	if b.Install(files) == nil {
		t.Fatal("no error")
	}
	if err := os.Remove(b.path("agent-token")); err != nil {
		t.Fatal(err)
	}
	if known, err := b.Known(); known || err != nil {
		t.Errorf("half of a cluster counts as known, %v", err)
	}
	if err := b.Install(files); err != nil {
		t.Fatal(err)
	}
	if known, err := b.Known(); !known || err != nil {
		t.Errorf("it is not known, %v", err)
	}
}

// deaf is a datastore that takes a write, or does not, and says that it failed.
type deaf struct {
	*clientv3.Client
	takes bool
}

type deafTxn struct {
	clientv3.Txn
	takes bool
}

func (d deaf) Txn(ctx context.Context) clientv3.Txn { return deafTxn{d.Client.Txn(ctx), d.takes} }

func (d deafTxn) If(c ...clientv3.Cmp) clientv3.Txn  { return deafTxn{d.Txn.If(c...), d.takes} }
func (d deafTxn) Then(o ...clientv3.Op) clientv3.Txn { return deafTxn{d.Txn.Then(o...), d.takes} }

func (d deafTxn) Commit() (*clientv3.TxnResponse, error) {
	if d.takes {
		if _, err := d.Txn.Commit(); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("cut off")
}

func TestAFirstStartThatFailsBeginsAnew(t *testing.T) {
	for name, c := range map[string]struct {
		secret string
		takes  bool
		make   error
		keeps  bool
	}{
		"making fails":                 {"one", false, errors.New("no room"), false},
		"the write fails":              {"one", false, nil, false},
		"the answer is lost":           {"one", true, nil, false}, // the token of the settings opens what lies there
		"no token, the write fails":    {"", false, nil, false},
		"no token, the answer is lost": {"", true, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, a := store(t), newMachine(t)
			a.put("token", "chosen before")
			err := Settle(t.Context(), deaf{s, c.takes}, a.Place, c.secret, func() (string, error) { return "one", errors.Join(c.make, a.first("one").t.Context().Err()) })
			if err == nil {
				t.Fatal("no error")
			}
			files, err := a.Read()
			if err != nil || (files[authority] != nil) != c.keeps || !c.keeps && (len(files) != 1 || a.has("token") != "chosen before") {
				t.Fatalf("%d files are left, %v", len(files), err)
			}
			if err := Settle(t.Context(), s, a.Place, c.secret, func() (string, error) { return "one", a.first("one").t.Context().Err() }); err != nil {
				t.Fatal(err)
			}
			if known, err := a.Known(); !known || err != nil {
				t.Errorf("known %t, %v", known, err)
			}
		})
	}
}

func TestAFirstStartThatLosesTheRaceLeavesNothing(t *testing.T) {
	s := store(t)
	other, late := newMachine(t), newMachine(t)
	err := Settle(t.Context(), s, late.Place, "two", func() (string, error) {
		late.first("two").put("cred/encryption-config.json", "keys")
		return "two", Settle(t.Context(), s, other.Place, "one", func() (string, error) { return "one", other.first("one").t.Context().Err() })
	})
	refused(t, err, "the token is not the one")
	if files, err := late.Read(); len(files) > 0 || err != nil {
		t.Errorf("%d files are left, %v", len(files), err)
	}
	err = Settle(t.Context(), s, late.Place, "one", func() (string, error) { return "", errors.New("made") })
	if err != nil {
		t.Fatal(err)
	}
	x, _ := other.Read()
	if y, _ := late.Read(); !equal(x, y) {
		t.Error("they are not of one cluster")
	}
}
