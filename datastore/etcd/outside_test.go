package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skerry-io/skerry/datastore"
	"github.com/skerry-io/skerry/datastore/reach"
	"github.com/skerry-io/skerry/internal/fault"
)

// A member as others run it is reached with its certificates, and with no others.
func TestFromOutside(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.member(1)
	run(t, c).up()
	waiting := func(err error) {
		if err != nil {
			t.Log(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	good := datastore.Endpoint{URLs: []string{c.ClientURL()}, CAFile: c.Client.CAFile, CertFile: c.Client.CertFile, KeyFile: c.Client.KeyFile}
	if err := reach.Etcd(ctx, good, "etcd", waiting); err != nil {
		t.Fatal(err)
	}
	client, err := good.Client()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	put(t, client, "/registry/a", "1")
	for name, wrong := range map[string]datastore.Endpoint{
		"no certificate":        {URLs: good.URLs, CAFile: good.CAFile},
		"another authority":     {URLs: good.URLs, CAFile: c.Peer.CAFile, CertFile: good.CertFile, KeyFile: good.KeyFile},
		"another's certificate": {URLs: good.URLs, CAFile: good.CAFile, CertFile: c.Peer.CertFile, KeyFile: c.Peer.KeyFile},
	} {
		var told *fault.Fault
		if err := reach.Etcd(ctx, wrong, "etcd", waiting); !errors.As(err, &told) || told.Cure() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
