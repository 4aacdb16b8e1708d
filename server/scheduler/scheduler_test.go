package scheduler

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/fault"
)

func TestUpstreamTakesTheFlags(t *testing.T) {
	c := Config{Kubeconfig: "/data/scheduler.kubeconfig", Extra: []string{"v=4", "kube-api-qps=7"}}
	for _, want := range []string{"--leader-elect=false", "--secure-port=0", "--kubeconfig=/data/scheduler.kubeconfig", "--v=4"} {
		if got := flags(c).Args(); !slices.Contains(got, want) {
			t.Errorf("%s is missing in %q", want, got)
		}
	}
	o, err := configure(c)
	if err != nil {
		t.Fatal(err)
	}
	if o.SecureServing.BindPort != 0 || o.LeaderElection.LeaderElect {
		t.Errorf("listens on %d, elects a leader: %t", o.SecureServing.BindPort, o.LeaderElection.LeaderElect)
	}
}

func TestWhatUpstreamRefuses(t *testing.T) {
	for extra, want := range map[string]string{"no-such-flag=1": "no-such-flag", "kube-api-burst=many": "kube-api-burst"} {
		_, err := configure(Config{Kubeconfig: "/x", Extra: []string{extra}})
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), want) || !strings.Contains(told.Cure(), setting) {
			t.Errorf("%s: got %v", extra, err)
		}
	}
}
