package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// dialPatience bounds how long a node tries to make one connection.
const dialPatience = 10 * time.Second

// ErrForbidden is what a Dial gives for an address that servers may not reach; wrapped, it can say more.
var ErrForbidden = errors.New("servers may not reach this address through the tunnel")

// Dial makes a connection on the node for a server that asks for to, a host:port. It decides what may be asked for.
type Dial func(ctx context.Context, to string) (net.Conn, error)

// answers is the node's side of one tunnel.
type answers struct {
	dial Dial
	busy sync.WaitGroup
}

// ServeHTTP makes the connection that is asked for, and carries its data until it ends.
func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.busy.Add(1)
	defer a.busy.Done()
	if r.Method != http.MethodConnect {
		http.Error(w, "this is a tunnel: CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), dialPatience)
	defer cancel()
	target, err := a.dial(ctx, r.Host)
	if err != nil {
		status := http.StatusBadGateway
		if errors.Is(err, ErrForbidden) {
			status = http.StatusForbidden
		}
		http.Error(w, err.Error(), status)
		return
	}
	if http.NewResponseController(w).Flush() == nil { // the header: it is connected
		join(w, r, target)
	}
	_ = target.Close()
}

// join carries data both ways until target has no more, or the server wants no more.
func join(w http.ResponseWriter, r *http.Request, target net.Conn) {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(target, r.Body)
	}()
	stop := context.AfterFunc(r.Context(), func() {
		_ = target.SetReadDeadline(time.Now())
		_ = target.SetWriteDeadline(time.Now().Add(linger))
	})
	receive(w, target)
	if r.Context().Err() == nil {
		_ = r.Body.Close() // ends send, as nobody listens there any more
		_ = target.Close()
	}
	<-sent
	stop()
}

// send carries what the server sends, and passes the end of it on.
func send(target net.Conn, body io.Reader) {
	_, err := io.Copy(target, body)
	half, can := target.(interface{ CloseWrite() error })
	if err != nil || !can {
		_ = target.Close()
		return
	}
	_ = half.CloseWrite()
}

// receive carries what target sends, each piece as it comes: logs that are followed must not wait for more of them.
func receive(w http.ResponseWriter, target net.Conn) {
	buffer := make([]byte, maxFrame)
	flush := http.NewResponseController(w)
	for {
		n, err := target.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil || flush.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
