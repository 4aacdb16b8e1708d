package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/status"
	"github.com/skerry-io/skerry/tests/testdb"
)

// meeting are the settings of a server at a database of others.
func meeting(t *testing.T, name, endpoint, token string) config.Server {
	t.Helper()
	dir := t.TempDir()
	var c config.Server
	c.DataDir, c.NodeName, c.Token, c.DatastoreEndpoint = dir, name, config.Secret(token), config.Secret(endpoint)
	c.WriteKubeconfig, c.WriteKubeconfigMode, c.EgressSelectorMode = filepath.Join(dir, "admin.yaml"), 0o600, "disabled"
	c.ServiceCIDR = []netip.Prefix{netip.MustParsePrefix("10.43.0.0/16")}
	c.HTTPSListenPort, c.ClusterDomain, c.SecretsEncryption, c.NodeCertificateLifetime = 6443, "cluster.local", true, time.Hour
	c.DisableAgent = true
	if err := os.MkdirAll(c.Paths().ServerDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	return c
}

func prepared(t *testing.T, c config.Server, log *bytes.Buffer) (*Server, error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	return New(ctx, c, []netip.Addr{netip.MustParseAddr("192.168.1.2")}, func() status.Report { return status.Report{} }, slog.New(slog.NewTextHandler(log, nil)))
}

// Servers that meet at a database share what the cluster is known by; who has no token of it gets nothing, and leaves nothing.
func TestServersMeetAtADatabase(t *testing.T) {
	db := testdb.Postgres(t)
	endpoint := db.PostgresURL("meeting")
	var log bytes.Buffer
	a := meeting(t, "a", endpoint, "of-the-servers")
	if _, err := prepared(t, a, &log); err != nil {
		t.Fatal(err)
	}
	b := meeting(t, "b", endpoint, "of-the-servers")
	if _, err := prepared(t, b, &log); err != nil {
		t.Fatal(err)
	}
	for _, name := range a.Paths().Shared() {
		one, err := os.ReadFile(filepath.Join(a.Paths().ServerDir(), name))
		if errors.Is(err, os.ErrNotExist) {
			continue // what a cluster does without
		}
		other, failed := os.ReadFile(filepath.Join(b.Paths().ServerDir(), name))
		if err != nil || failed != nil || !bytes.Equal(one, other) {
			t.Errorf("%s is not the same on both: %v, %v", name, err, failed)
		}
	}
	if _, err := os.Stat(b.Paths().EncryptionFile()); err != nil {
		t.Error(err)
	}
	for _, token := range []string{"", "another"} {
		c := meeting(t, "c", endpoint, token)
		_, err := prepared(t, c, &log)
		var told *fault.Fault
		if !errors.As(err, &told) || told.Cure() == "" {
			t.Errorf("with the token %q: %v", token, err)
		}
		if found, _ := filepath.Glob(c.Paths().TLSDir() + "/*"); len(found) > 0 {
			t.Errorf("with the token %q it has made %v", token, found)
		}
		log.WriteString(err.Error())
	}
	db.Stop()
	if _, err := prepared(t, a, &log); err != nil {
		t.Errorf("a server that has been there needs the database before it runs: %v", err)
	}
	for _, secret := range []string{"correct horse", "correct%20horse", "battery", "staple"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the password is told: %s", log.String())
		}
	}
}
