package serve

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// TLS serves on listener until ctx ends, and then gives requests in flight until patience has passed. The certificates
// are those of srv.TLSConfig. It calls ready when connections are taken.
func TLS(ctx context.Context, srv *http.Server, listener net.Listener, patience time.Duration, ready func()) error {
	ended := make(chan error, 1)
	go func() { ended <- srv.ServeTLS(listener, "", "") }()
	ready()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if srv.Shutdown(late) != nil {
		_ = srv.Close() // watches never end on their own
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
