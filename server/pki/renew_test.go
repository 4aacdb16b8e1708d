package pki

import (
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// Moments in a bubble of synctest, which begins in 2000: leaves that are made there count from 2026.
const (
	year    = 365 * 24 * time.Hour
	to2026  = 26*year + 7*24*time.Hour
	healthy = to2026 + year/2
	worn    = to2026 + year*3/4
)

func TestRenewWaitsUntilAThirdIsLeft(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		p, _ := reopen(t, dir, testNames())
		time.Sleep(healthy)
		if renewed, err := p.Renew(quiet); len(renewed) > 0 || err != nil {
			t.Errorf("in the middle of their lives: %v, %v", renewed, err)
		}
		time.Sleep(worn - healthy)
		keys := map[string]*ecdsa.PrivateKey{}
		for _, l := range p.leaves {
			_, key, err := l.pair.Load()
			if err != nil {
				t.Fatal(err)
			}
			keys[l.pair.Base] = key
		}
		renewed, err := p.Renew(quiet)
		if len(renewed) != len(p.leaves) || err != nil {
			t.Fatalf("when a third is left: %v, %v", renewed, err)
		}
		for _, l := range p.leaves {
			cert, key, err := l.pair.Load()
			if err != nil {
				t.Fatal(err)
			}
			if !key.Equal(keys[l.pair.Base]) {
				t.Errorf("%s has another key: whoever reads both files meanwhile gets two that do not fit", l.pair.Base)
			}
			usage := x509.ExtKeyUsageClientAuth
			if l.subject.Server {
				usage = x509.ExtKeyUsageServerAuth
			}
			trusted(t, cert, l.ca, usage)
			if left := time.Until(cert.NotAfter); left < year-time.Hour {
				t.Errorf("%s has %s left", l.pair.Base, left)
			}
		}
		if renewed, err := p.Renew(quiet); len(renewed) > 0 || err != nil {
			t.Errorf("a second time: %v, %v", renewed, err)
		}
	})
}

func TestRenewGoesOnAfterAnError(t *testing.T) {
	p, _ := reopen(t, t.TempDir(), testNames())
	blocked, gone := p.AuthProxy, p.Scheduler
	if err := errors.Join(os.Remove(blocked.CertFile()), os.Mkdir(blocked.CertFile(), 0o700), os.WriteFile(blocked.CertFile()+"/x", nil, 0o600),
		os.Remove(gone.CertFile()), os.Remove(gone.KeyFile())); err != nil {
		t.Fatal(err)
	}
	_, err := p.Renew(slog.New(slog.DiscardHandler))
	if err == nil {
		t.Error("nothing is said of the one that could not be written")
	}
	if _, _, err := gone.Load(); err != nil {
		t.Errorf("the one after it: %v", err)
	}
	if _, _, err := p.APIServer.Load(); err != nil {
		t.Errorf("one that was good: %v", err)
	}
}
