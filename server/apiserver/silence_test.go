package apiserver

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSilence(6443)
		accepted := make(chan error, 1)
		go func() {
			_, err := s.Accept()
			accepted <- err
		}()
		synctest.Wait()
		select {
		case err := <-accepted:
			t.Fatalf("somebody connected: %v", err)
		default:
		}
		for range 2 { // upstream closes a listener more than once
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		if s.Addr().String() != "127.0.0.1:6443" {
			t.Errorf("the address is %s", s.Addr())
		}
	})
}
