package testhost_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/tests/testhost"
)

func TestAHostBehindARouter(t *testing.T) {
	lab := testhost.New(t)
	a, b := lab.Host("a"), lab.Host("b", testhost.BehindNAT())
	serve(t, a)
	serve(t, b)
	reached := func() error { return fetch(b, a) }
	b.Eventually(10*time.Second, "it reaches host a", reached)

	t.Run("others see the router's address", func(t *testing.T) {
		seen := a.Tap(b.Outside() + "/32")
		hidden := a.Tap(b.Address() + "/32")
		if err := fetch(b, a); err != nil {
			t.Fatal(err)
		}
		a.Eventually(5*time.Second, "its packets come from outside the router", func() error {
			if len(seen.Seen()) == 0 {
				return errors.New("nothing seen")
			}
			return nil
		})
		if len(hidden.Seen()) > 0 {
			t.Errorf("its own address is seen: %q", hidden.Seen())
		}
	})
	t.Run("nobody reaches it", func(t *testing.T) {
		for _, address := range []string{b.Address(), b.Outside()} {
			if _, err := a.Dial(within(t, time.Second), "tcp", address+":8080"); err == nil {
				t.Errorf("%s answers", address)
			}
		}
	})
	t.Run("it comes back after a power cut and with its cable", func(t *testing.T) {
		b.PowerCycle()
		b.Eventually(10*time.Second, "it reaches host a", reached)
		b.Unplug()
		if fetch(b, a) == nil {
			t.Error("it reaches host a without its cable")
		}
		b.Plug()
		b.Eventually(10*time.Second, "it reaches host a again", reached)
	})
}

func TestClosedInbound(t *testing.T) {
	lab := testhost.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	serve(t, a)
	serve(t, b)
	b.Eventually(10*time.Second, "it answers host a", func() error { return fetch(a, b) })
	b.CloseInbound()
	if fetch(a, b) == nil {
		t.Error("it answers with all inbound closed")
	}
	if err := errors.Join(fetch(b, a), fetch(b, b)); err != nil {
		t.Errorf("it reaches others no more: %v", err)
	}
	b.OpenInbound()
	if err := fetch(a, b); err != nil {
		t.Errorf("opened again: %v", err)
	}
}

func TestAnotherAddressAndName(t *testing.T) {
	lab := testhost.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	serve(t, a)
	serve(t, b)
	old := b.Address()
	b.Eventually(10*time.Second, "it answers host a", func() error { return fetch(a, b) })
	b.Readdress("10.200.0.77")
	if b.Address() != "10.200.0.77" {
		t.Errorf("it says it is %s", b.Address())
	}
	b.Eventually(10*time.Second, "it answers at its new address", func() error { return errors.Join(fetch(a, b), fetch(b, a)) })
	if _, err := a.Dial(within(t, time.Second), "tcp", old+":8080"); err == nil {
		t.Error("the old address answers")
	}
	b.Rename("other")
	b.PowerCycle()
	out, err := b.Run(within(t, 5*time.Second), "sh", "-c", "hostname; cat /etc/hostname; grep other /etc/hosts; ip -4 -o addr show eth0; ip route show default")
	if err != nil || !strings.HasPrefix(out, "other\nother\n10.200.0.77 other\n") || !strings.Contains(out, "10.200.0.77/24") || !strings.Contains(out, "via 10.200.0.1") {
		t.Errorf("%s, %v", out, err)
	}
}

func TestHostsReachEachOtherByIPv6(t *testing.T) {
	lab := testhost.New(t)
	a, b := lab.Host("a", testhost.IPv6()), lab.Host("b", testhost.IPv6())
	listener := b.Listen("[::]:8080")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	conn, err := a.Dial(within(t, 5*time.Second), "tcp", net.JoinHostPort(b.Address6(), "8080"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if said, err := io.ReadAll(conn); err != nil || string(said) != "hello" {
		t.Errorf("%q, %v", said, err)
	}
}
