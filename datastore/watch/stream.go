package watch

import (
	"context"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// mostQueued bounds how many answers may wait for a client that does not read, before its stream ends.
const mostQueued = 10_000

// stream is one client's connection, which may carry many watches. What it is to be told waits in one queue, so that
// the order is kept.
type stream struct {
	hub     *Hub
	watches map[int64]*watch // guarded by the hub's lock

	mu    sync.Mutex // guards what follows
	queue []*etcdserverpb.WatchResponse
	told  int64         // the newest revision in a header; it never goes back
	work  chan struct{} // holds a token when there is something to send

	ended chan error // holds the first reason to end
}

// Watch serves one client's stream.
func (h *Hub) Watch(ws etcdserverpb.Watch_WatchServer) error {
	ctx, cancel := context.WithCancel(ws.Context())
	s := &stream{hub: h, watches: map[int64]*watch{}, work: make(chan struct{}, 1), ended: make(chan error, 1)}
	h.mu.Lock()
	h.streams[s] = struct{}{}
	h.mu.Unlock()
	asked, reported := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(reported)
		s.reportProgress(ctx, asked)
	}()
	// These two wait for the client, which may not move: they end when it goes, or once this function has returned.
	go s.receive(ctx, ws, asked)
	go s.send(ctx, ws)
	var err error
	select {
	case err = <-s.ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.mu.Lock()
	delete(h.streams, s)
	h.mu.Unlock()
	cancel()
	<-reported
	return err
}

func (s *stream) receive(ctx context.Context, ws etcdserverpb.Watch_WatchServer, asked chan<- struct{}) {
	for {
		request, err := ws.Recv()
		if err != nil {
			s.end(err)
			return
		}
		switch ask := request.RequestUnion.(type) {
		case *etcdserverpb.WatchRequest_CreateRequest:
			s.create(ctx, ask.CreateRequest)
		case *etcdserverpb.WatchRequest_CancelRequest:
			s.cancel(ask.CancelRequest.WatchId, 0, nil)
		case *etcdserverpb.WatchRequest_ProgressRequest:
			select {
			case asked <- struct{}{}:
			default: // asked already
			}
		}
	}
}

// reportProgress answers a client that asks how far it is, once it was told everything that had happened by then.
func (s *stream) reportProgress(ctx context.Context, asked <-chan struct{}) {
	for {
		select {
		case <-asked:
		case <-ctx.Done():
			return
		}
		if err := s.hub.reachNow(ctx); err != nil {
			s.end(err)
			return
		}
		s.hub.mu.Lock()
		if !s.catchingUp() { // if so, the client asks again
			s.tell(progress(everyWatch, s.hub.seen))
		}
		s.hub.mu.Unlock()
	}
}

// catchingUp says whether a watch is still to be told of the past; the caller holds the hub's lock.
func (s *stream) catchingUp() bool {
	for _, w := range s.watches {
		if w.catchingUp {
			return true
		}
	}
	return false
}

// tell queues an answer.
func (s *stream) tell(answer *etcdserverpb.WatchResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer.Header.Revision > 0 {
		s.told = max(s.told, answer.Header.Revision)
		answer.Header.Revision = s.told
	}
	if len(s.queue) == mostQueued {
		s.end(status.Errorf(codes.Unavailable, "%d changes wait for this client", mostQueued)) // with any other code it would not come again
		return
	}
	s.queue = append(s.queue, answer)
	select {
	case s.work <- struct{}{}:
	default: // the sender knows
	}
}

// end closes the stream with an error; the client comes again and resumes.
func (s *stream) end(why error) {
	select {
	case s.ended <- why:
	default: // it ends already
	}
}

// send writes what is queued until the stream ends.
func (s *stream) send(ctx context.Context, ws etcdserverpb.Watch_WatchServer) {
	for {
		select {
		case <-s.work:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		queue := s.queue
		s.queue = nil
		s.mu.Unlock()
		for _, answer := range queue {
			if err := ws.Send(answer); err != nil {
				s.end(err)
				return
			}
		}
	}
}
