package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/nodes"
)

// Entry lets further servers in, and out again.
type Entry interface {
	// Enter gives all that a machine needs to be a server under a name; was is the datastore's member that it has been. A *fault.Fault is a
	// refusal; any other error means that it cannot be now.
	Enter(ctx context.Context, name, was string) (wire.ServerEntered, error)
	// Leave takes what a server was out of the datastore's cluster; with errors as those of Enter.
	Leave(ctx context.Context, name string) error
}

// enter gives a further server what all servers have in common: whoever has it is the cluster.
func (s *Supervisor) enter(w http.ResponseWriter, r *http.Request, _ caller) error {
	var ask wire.ServerEnter
	if err := readBody(w, r, &ask); err != nil {
		return err
	}
	switch {
	case len(validation.IsDNS1123Subdomain(ask.Name)) > 0 || len(ask.Name) > nodes.MaxName:
		return refusal{http.StatusBadRequest, fmt.Sprintf("%.80q cannot be the name of a server", ask.Name)}
	case ask.Name == s.Own:
		return refusal{http.StatusConflict, fmt.Sprintf("the name %q is that of the server that was asked; to cure: give the new one another name with node-name", ask.Name)}
	case s.Entry == nil:
		return refusal{http.StatusConflict, "this server keeps its datastore for itself; to cure: start it with cluster-init first"}
	}
	if other := differences(s.Cluster, ask.Cluster); len(other) > 0 {
		return refusal{http.StatusConflict, fmt.Sprintf("the settings of the new server are not those of the cluster: %s; to cure: make them the same on all servers", strings.Join(other, ", "))}
	}
	entered, err := s.Entry.Enter(r.Context(), ask.Name, ask.Was)
	if err != nil {
		return final(err)
	}
	s.Log.Info("a further server was let in", "server", ask.Name, "from", addressOf(r))
	return s.tell(w, entered)
}

// leave takes a server out that is gone for good.
func (s *Supervisor) leave(w http.ResponseWriter, r *http.Request, _ caller) error {
	name := r.URL.Query().Get("name")
	if s.Entry == nil {
		return refusal{http.StatusConflict, "this cluster has one server; to cure: there is nothing to remove"}
	}
	if err := s.Entry.Leave(r.Context(), name); err != nil {
		return final(err)
	}
	s.Log.Info("a server was taken out of the datastore's cluster", "server", name, "from", addressOf(r))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// final makes a refusal of an error that will not pass.
func final(err error) error {
	var no *fault.Fault
	if errors.As(err, &no) {
		return refusal{http.StatusConflict, no.Error()}
	}
	return err
}

// differences names the settings in which two servers disagree, by what they are called in JSON, with the cluster's value.
func differences(ours, theirs wire.Cluster) (names []string) {
	a, b := reflect.ValueOf(ours), reflect.ValueOf(theirs)
	for i := range a.NumField() {
		x, y := fmt.Sprint(a.Field(i).Interface()), fmt.Sprint(b.Field(i).Interface())
		if x != y {
			name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			names = append(names, fmt.Sprintf("%s is %s there and %s here", name, x, y))
		}
	}
	return names
}
