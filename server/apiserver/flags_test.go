package apiserver

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/internal/fault"
)

func example() Config {
	return Config{Port: 6443, Advertise: netip.MustParseAddr("192.168.1.2"), Datastore: datastore.Endpoint{URLs: []string{"unix:///data/datastore.sock"}},
		ServiceCIDR: []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16"), netip.MustParsePrefix("fd00:43::/112")}, NodePorts: "30000-32767", ClusterDomain: "edge.local"}
}

func TestFlags(t *testing.T) {
	c, p := example(), authorities(t)
	c.Extra = []string{"v=4", "profiling=true", "feature-gates=X=true"}
	got := flags(c, p)
	for name, want := range map[string]string{
		"advertise-address":        "192.168.1.2",
		"anonymous-auth":           "false",
		"api-audiences":            "https://kubernetes.default.svc.edge.local,skerry",
		"authorization-mode":       "Node,RBAC",
		"etcd-servers":             "unix:///data/datastore.sock",
		"feature-gates":            "WatchListClient=false,X=true",
		"profiling":                "true",
		"service-account-issuer":   "https://kubernetes.default.svc.edge.local",
		"service-cluster-ip-range": "10.43.0.0/16,fd00:43::/112",
		"service-node-port-range":  "30000-32767",
		"v":                        "4",
	} {
		if got[name] != want {
			t.Errorf("--%s=%s, want %s", name, got[name], want)
		}
	}
	for name, value := range got {
		if !strings.HasPrefix(value, "/") {
			continue
		}
		if _, err := os.Stat(value); err != nil {
			t.Errorf("--%s: %v", name, err)
		}
	}
}

func TestADialerKnowsNodesByName(t *testing.T) {
	c, p := example(), authorities(t)
	const types = "kubelet-preferred-address-types"
	if got := flags(c, p)[types]; got != "InternalIP,ExternalIP,Hostname" {
		t.Errorf("without: %s", got)
	}
	c.Dial = (&net.Dialer{}).DialContext
	if got := flags(c, p)[types]; got != "Hostname,InternalIP,ExternalIP" {
		t.Errorf("with one: %s", got)
	}
}

func TestPodsBehindServices(t *testing.T) {
	c, p := example(), authorities(t)
	for pods, want := range map[bool]string{false: "false", true: "true"} {
		c.DialPods = pods
		if got := flags(c, p)["enable-aggregator-routing"]; got != want {
			t.Errorf("where pods are dialed: %t: %s", pods, got)
		}
	}
}

func TestUpstreamTakesTheFlags(t *testing.T) {
	s := New(example(), authorities(t), nil)
	o, err := s.options(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2]any{
		"the port of the Service":      {o.SecureServing.BindPort, 6443},
		"the address that is told":     {o.GenericServerRunOptions.AdvertiseAddress.String(), "192.168.1.2"},
		"the API server's own Service": {o.APIServerServiceIP.String(), "10.43.0.1"},
		"anonymous requests":           {o.Authentication.Anonymous.Allow, false},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", name, pair[0], pair[1])
		}
	}
}

func TestWhatUpstreamRefuses(t *testing.T) {
	p := authorities(t)
	for extra, want := range map[string]string{"no-such-flag=1": "no-such-flag", "max-requests-inflight=many": "max-requests-inflight", "max-requests-inflight=-1": "max-requests-inflight"} {
		c := example()
		c.Extra = []string{extra}
		_, err := New(c, p, nil).options(t.Context())
		var told *fault.Fault
		if !errors.As(err, &told) || !strings.Contains(err.Error(), want) || !strings.Contains(told.Cure(), "kube-apiserver-arg") {
			t.Errorf("%s: got %v", extra, err)
		}
	}
}
