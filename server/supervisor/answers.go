package supervisor

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/internal/wire"
)

func (s *Supervisor) ping(w http.ResponseWriter, _ *http.Request, _ caller) error {
	write(w, []byte("pong\n"))
	return nil
}

func (s *Supervisor) caCerts(w http.ResponseWriter, _ *http.Request, _ caller) error {
	write(w, certs.EncodeCert(s.PKI.ServerCA.Certificate))
	return nil
}

// ready tells everybody whether the API server answers, and an administrator who asks for it also how all else is.
func (s *Supervisor) ready(w http.ResponseWriter, r *http.Request, _ caller) error {
	if r.URL.Query().Has("verbose") {
		return s.readyVerbose(w, r)
	}
	if s.Client() == nil {
		return errNoAPI
	}
	write(w, []byte("ok\n"))
	return nil
}

func (s *Supervisor) readyVerbose(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.identify(administrator, r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if s.Client() == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	write(w, []byte(s.Report().Verbose()))
	return nil
}

// metrics tells an administrator how this process is, for a monitor.
func (s *Supervisor) metrics(w http.ResponseWriter, _ *http.Request, _ caller) error {
	w.Header().Set("Content-Type", status.MetricsType)
	write(w, []byte(s.Report().Metrics()))
	return nil
}

// config also tells a node that it is not known any more, so that it joins again or ends.
func (s *Supervisor) config(w http.ResponseWriter, r *http.Request, c caller) error {
	if err := s.known(r.Context(), c); err != nil {
		return err
	}
	return s.tell(w, s.Cluster)
}

func (s *Supervisor) servers(w http.ResponseWriter, r *http.Request, _ caller) error {
	return s.tell(w, wire.Servers{URLs: s.Servers(r.Context())})
}

// connect hands the request of a node's tunnel over, for as long as the tunnel lives.
func (s *Supervisor) connect(w http.ResponseWriter, r *http.Request, c caller) error {
	if s.Connect == nil {
		return refusal{http.StatusNotFound, "this server takes no tunnels"}
	}
	if err := s.known(r.Context(), c); err != nil {
		return err
	}
	s.Connect(c.name).ServeHTTP(w, r)
	return nil
}

func (s *Supervisor) changeToken(w http.ResponseWriter, r *http.Request, c caller) error {
	var change wire.TokenChange
	if err := readBody(w, r, &change); err != nil {
		return err
	}
	err := s.Tokens.Change(change.Secret)
	var unfit *fault.Fault
	if errors.As(err, &unfit) {
		return refusal{http.StatusBadRequest, err.Error()}
	}
	if err != nil {
		return err
	}
	s.Log.Info("the server token was changed", "from", addressOf(r))
	if s.Changed != nil {
		if err := s.Changed(r.Context()); err != nil {
			return refusal{http.StatusServiceUnavailable, "the token is changed on this server, and the others could not be told: " + err.Error()}
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// tell answers in JSON.
func (s *Supervisor) tell(w http.ResponseWriter, answer any) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	write(w, text)
	return nil
}

// write sends an answer. That nobody takes it any more cannot be told to the caller, and is no news to us.
func write(w http.ResponseWriter, text []byte) { _, _ = w.Write(text) }
