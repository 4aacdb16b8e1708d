package dns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/skerry-io/skerry/internal/fault"
)

// idle is how long a TCP connection may stay without a question.
const idle = 10 * time.Second

// front takes questions, and hands those of pods and of this node on.
type front struct {
	servers []*dns.Server
	askers  *askers
	answers *answers
	ctx     context.Context //nolint:containedctx // the library's handlers get none
}

// listen opens all sockets, or none.
func listen(at []netip.AddrPort, askers *askers, answers *answers) (*front, error) {
	f := &front{askers: askers, answers: answers}
	for _, address := range at {
		packets, err := net.ListenPacket("udp", address.String())
		var stream net.Listener
		if err == nil {
			f.servers = append(f.servers, &dns.Server{PacketConn: packets, Handler: f})
			stream, err = net.Listen("tcp", address.String())
		}
		if err != nil {
			f.close()
			return nil, fault.New("listen on %s for the cluster's DNS", address).Because(err).
				Fix("`ss -lnptu sport = :%d` names the program that holds the port; end it, or make it listen on other addresses", address.Port())
		}
		f.servers = append(f.servers, &dns.Server{Listener: stream, Handler: f, IdleTimeout: func() time.Duration { return idle }})
	}
	return f, nil
}

func (f *front) close() {
	for _, s := range f.servers {
		if s.PacketConn != nil {
			_ = s.PacketConn.Close() // nothing was read from it
		} else {
			_ = s.Listener.Close()
		}
	}
}

// serve answers until ctx ends or a socket breaks.
func (f *front) serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	f.ctx = ctx
	var wait sync.WaitGroup
	ended := make(chan error, len(f.servers))
	for _, s := range f.servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = sync.OnceFunc(func() { close(started) })
		wait.Go(func() { ended <- s.ActivateAndServe() })
		select { // a server that has not started cannot be told to stop
		case <-started:
		case err := <-ended:
			ended <- err
		}
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	stop()
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, s := range f.servers {
		if e := s.ShutdownContext(soon); e != nil && !errors.Is(e, context.DeadlineExceeded) {
			err = errors.Join(err, e)
		}
	}
	wait.Wait()
	return err
}

// ServeDNS answers one question. Strangers are not told that someone is here.
func (f *front) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	if from, ok := addressOf(w.RemoteAddr()); !ok || !f.askers.may(from) {
		_ = w.Close() // ends a TCP connection; does nothing to UDP
		return
	}
	f.answers.serve(f.ctx, w, r)
}

func addressOf(a net.Addr) (netip.Addr, bool) {
	switch a := a.(type) {
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap(), true
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap(), true
	}
	return netip.Addr{}, false
}
