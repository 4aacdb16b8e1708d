package leading

import "context"

// Service is what run.Service's Run is.
type Service func(ctx context.Context, ready func()) error

// Only has a service work while this server leads. On the others it is ready and waits. Once the lease is lost it stops and does not
// begin again. It needs Run to be ready.
func (l *Lead) Only(service Service) Service {
	if l == nil {
		return service
	}
	return func(ctx context.Context, ready func()) error {
		if !l.leads() {
			ready()
		}
		select {
		case <-l.began:
		case <-ctx.Done():
			return nil
		}
		if term, entered := l.enter(); entered {
			err := l.work(ctx, term, service, ready)
			if ctx.Err() != nil || term.Err() == nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	}
}

func (l *Lead) work(ctx, term context.Context, service Service, ready func()) error {
	defer l.leave()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(term, stop)()
	return service(ctx, ready)
}

func (l *Lead) leads() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == leads
}

// enter counts a service that works, unless the term is over.
func (l *Lead) enter() (term context.Context, entered bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != leads {
		return nil, false
	}
	if l.working == 0 {
		l.idle = make(chan struct{})
	}
	l.working++
	return l.term, true
}

func (l *Lead) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.working--; l.working == 0 {
		close(l.idle)
	}
}
