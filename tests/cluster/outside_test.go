package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestMariaDB and TestExternalEtcd: a server on a database of others, over TLS. What cannot work is one error, and the database may be
// restarted under the server.
func TestMariaDB(t *testing.T)      { onStranger(t, mariaDB()) }
func TestExternalEtcd(t *testing.T) { onStranger(t, etcd()) }

// strangerFiles is where the server's host has certificates of the database.
const strangerFiles = "/etc/skerry/database/"

func onStranger(t *testing.T, k kind) {
	n := newNode(t, nil)
	db := newStranger(t, n.lab, k)
	for name, file := range map[string]string{"ca.crt": db.CA, "other.crt": db.OtherCA(), "client.crt": db.Cert, "client.key": db.Key} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n.host.Write(filepath.Join(strangerFiles, name), text)
	}
	t.Run("refused", func(t *testing.T) { strangerRefuses(t, n, db, k) })
	n.host.Write(configFile, []byte(quickly()+strangerSettings(db.endpoint(), "ca.crt", k.certified)))
	n.serve()
	n.ready(t)
	n.note(t, "kept")
	t.Run("the database is restarted", func(t *testing.T) { strangerReturns(t, n, db) })
	t.Run("the server is restarted", func(t *testing.T) {
		n.stop(t)
		n.serve()
		n.ready(t)
		n.holds(t, map[string]bool{"kept": true})
		var said struct{ Engine, Place, Error string }
		if err := json.Unmarshal([]byte(n.skerry(t, "datastore", "status", "-o", "json")), &said); err != nil {
			t.Fatal(err)
		}
		if said.Engine != k.engine || !strings.Contains(said.Place, db.at) || said.Error != "" {
			t.Errorf("it says %+v", said)
		}
	})
	noPassword(t, n)
}

// oneForm wants every library that complained about the database to do so in the log's form, under the right name.
func oneForm(t *testing.T, n *node) {
	t.Helper()
	for line := range strings.Lines(n.proc.Output()) {
		if strings.HasPrefix(line, "{") || strings.Contains(line, "service=containerd") && strings.Contains(line, "error in txn") {
			t.Errorf("a complaint in another form: %s", line)
		}
	}
}

// strangerSettings are those of a server for a database whose certificate has to be from an authority.
func strangerSettings(endpoint, authority string, certified bool) string {
	all := fmt.Sprintf("datastore-endpoint: %q\ndatastore-cafile: %s\n", endpoint, strangerFiles+authority)
	if certified {
		all += fmt.Sprintf("datastore-certfile: %sclient.crt\ndatastore-keyfile: %sclient.key\n", strangerFiles, strangerFiles)
	}
	return all
}

// strangerRefuses: what waiting does not cure ends the server with one error, and leaves nothing behind.
func strangerRefuses(t *testing.T, n *node, db stranger, k kind) {
	wrong := map[string]string{
		"another authority": strangerSettings(db.endpoint(), "other.crt", k.certified),
		"no such scheme":    strangerSettings("ftp://"+db.at+"/", "ca.crt", k.certified),
	}
	if k.certified {
		wrong["no certificate"] = strangerSettings(db.endpoint(), "ca.crt", false)
	} else {
		wrong["a wrong password"] = strangerSettings(strings.Replace(db.endpoint(), "battery", "butter", 1), "ca.crt", false)
	}
	for name, settings := range wrong {
		t.Run(name, func(t *testing.T) {
			n.host.Write(configFile, []byte(settings))
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := n.host.Run(ctx, "skerry", "server")
			if err == nil || ctx.Err() != nil || strings.Count(fmt.Sprint(out, err), "to cure:") != 1 {
				t.Errorf("%v, %s", err, out)
			}
			for _, secret := range []string{"horse", "battery", "butter", "staple"} {
				if strings.Contains(out, secret) {
					t.Errorf("it tells the password: %s", out)
				}
			}
			if left := n.files(serverDir + "/*"); len(left) > 0 {
				t.Errorf("%v are left", left)
			}
		})
	}
}

// strangerReturns: the database is cut off and comes back while somebody writes and somebody watches.
func strangerReturns(t *testing.T, n *node, db stranger) {
	w := write(t, n, "beside")
	began := time.Now()
	n.eventually(t, "a write is answered", func() error { return w.answeredSince(began) })
	db.Stop()
	db.Start()
	began = time.Now()
	n.eventually(t, "writes are answered again", func() error { return w.answeredSince(began) })
	t.Logf("a write was answered %s after the database did", time.Since(began).Round(10*time.Millisecond))
	w.all(t, n)
	n.ready(t)
	oneForm(t, n)
	n.applyText(t, spread("after", 0)) // the controllers hear of it
	n.eventually(t, "controllers go on", func() error {
		d, err := n.api.AppsV1().Deployments(inDefault).Get(t.Context(), "after", metav1.GetOptions{})
		if err == nil && d.Status.ObservedGeneration == 0 {
			err = errors.New("nobody has looked at the Deployment")
		}
		return err
	})
}
