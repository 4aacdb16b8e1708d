package tokens

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
	"github.com/skerry-io/skerry/server/token"
	"github.com/skerry-io/skerry/tests/certtest"
)

// wantFault wants a cure, and no secret.
func wantFault(t *testing.T, what string, err error, want string) {
	t.Helper()
	var told *fault.Fault
	if !errors.As(err, &told) || told.Cure() == "" || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q with a cure", what, err, want)
	}
	if err != nil && strings.Contains(err.Error(), "0123456789abcdef") {
		t.Errorf("%s: the error shows the secret: %v", what, err)
	}
}

func TestGenerate(t *testing.T) {
	var out bytes.Buffer
	if err := Generate(t.Context(), command.Env{Out: &out}, struct{}{}, nil); err != nil || !regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}\n$`).MatchString(out.String()) {
		t.Errorf("got %q, %v", &out, err)
	}
}

func TestWhatIsCreatedIsWhatTheServerReads(t *testing.T) {
	client, ca := fake.NewSimpleClientset(), certtest.CA(t, "ca").Certificate
	for _, ttl := range []time.Duration{0, 2 * time.Hour} {
		made, err := create(t.Context(), client, ca, command.TokenCreate{TTL: ttl, Description: "for the cellar"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		id, secret, ok := made.Bootstrap()
		if !ok || made.CAHash != certs.Fingerprint(ca) {
			t.Fatalf("made %s", made)
		}
		object, err := client.CoreV1().Secrets("kube-system").Get(t.Context(), "bootstrap-token-"+id, meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := token.ReadBootstrap(object)
		left := time.Until(kept.Expires)
		if err != nil || kept.Secret != secret || !kept.Usable || kept.Description != "for the cellar" ||
			kept.Expires.IsZero() != (ttl == 0) || ttl > 0 && (left > ttl || left < ttl-time.Minute) {
			t.Errorf("ttl %s: kept %+v, %v", ttl, kept, err)
		}
	}
}

func TestCreateWithAChosenToken(t *testing.T) {
	client, ca, other := fake.NewSimpleClientset(), certtest.CA(t, "ca").Certificate, certtest.CA(t, "ca").Certificate
	made, err := create(t.Context(), client, ca, command.TokenCreate{}, []string{"abcdef.0123456789abcdef"})
	if err != nil || made.Secret != "abcdef.0123456789abcdef" || !made.Trusts(ca) || made.Trusts(other) {
		t.Fatalf("got %v, %v", made, err)
	}
	full := wire.Token{CAHash: certs.Fingerprint(other), Secret: "abcdeg.0123456789abcdef"}.String()
	for text, want := range map[string]string{
		"abcdef.0123456789abcdef": "already",
		"abcdef.0123456789":       "ID.SECRET",
		"hunter2":                 "ID.SECRET",
		"ABCDEF.0123456789abcdef": "ID.SECRET",
		"SK1abc":                  "damaged",
		"":                        "empty",
		full:                      "another cluster",
	} {
		_, err := create(t.Context(), client, ca, command.TokenCreate{}, []string{text})
		wantFault(t, text, err, want)
	}
	_, err = create(t.Context(), client, ca, command.TokenCreate{TTL: -time.Second}, nil)
	wantFault(t, "ttl", err, "past")
}

func TestTheJoinCommandNamesAServerThatCanBeReached(t *testing.T) {
	port := int32(6443)
	client := fake.NewSimpleClientset(&discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: "kubernetes", Labels: map[string]string{discovery.LabelServiceName: "kubernetes"}},
		Endpoints:  []discovery.Endpoint{{Addresses: []string{"10.0.0.1"}}}, Ports: []discovery.EndpointPort{{Port: &port}},
	})
	for host, want := range map[string]string{
		"https://127.0.0.1:6443": "https://10.0.0.1:6443",
		"https://[::1]:6443":     "https://10.0.0.1:6443",
		"https://localhost:6443": "https://10.0.0.1:6443",
		"https://k.example:6443": "https://k.example:6443",
		"https://10.9.9.9:6443":  "https://10.9.9.9:6443",
	} {
		var out bytes.Buffer
		err := printJoin(t.Context(), client, host, wire.Token{Secret: "s"}, &out)
		if err != nil || out.String() != "skerry agent --server "+want+" --token s\n" {
			t.Errorf("%s: %q, %v", host, &out, err)
		}
	}
	wantFault(t, "no server", printJoin(t.Context(), fake.NewSimpleClientset(), "https://127.0.0.1:1", wire.Token{}, io.Discard), "no server")
}

func TestList(t *testing.T) {
	damaged := token.Bootstrap{ID: "damage", Secret: "0123456789abcdef"}.Object()
	damaged.Data["expiration"] = []byte("soon")
	client := fake.NewSimpleClientset(
		token.Bootstrap{ID: "ageing", Secret: "0123456789abcdef", Usable: true, Description: "two\twords", Expires: time.Now().Add(90 * time.Minute)}.Object(),
		token.Bootstrap{ID: "always", Secret: "0123456789abcdef"}.Object(),
		token.Bootstrap{ID: "beaten", Secret: "0123456789abcdef", Usable: true, Expires: time.Now().Add(-time.Hour)}.Object(),
		damaged,
		&core.Secret{ObjectMeta: meta.ObjectMeta{Namespace: "kube-system", Name: "other"}, Type: core.SecretTypeOpaque},
	)
	var text, parsed bytes.Buffer
	if err := list(t.Context(), client, "text", &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`(?m)^ID +TTL +EXPIRES +USAGES +DESCRIPTION$`, `(?m)^ageing +89m +2\S+Z? +authentication +two words$`,
		`(?m)^always +forever +never +authentication +-$`, `(?m)^beaten +expired +2\S+ +authentication +-$`, `(?m)^damage +damaged `} {
		if !regexp.MustCompile(want).Match(text.Bytes()) {
			t.Errorf("no %s in\n%s", want, &text)
		}
	}
	if err := list(t.Context(), client, "json", &parsed); err != nil {
		t.Fatal(err)
	}
	var entries []map[string]any
	if err := json.Unmarshal(parsed.Bytes(), &entries); err != nil || len(entries) != 4 || entries[0]["id"] != "ageing" || entries[1]["expires"] != nil {
		t.Errorf("%v\n%s", err, &parsed)
	}
	if strings.Contains(text.String()+parsed.String(), "0123456789abcdef") || strings.Contains(text.String(), "other") {
		t.Errorf("a list shows what it must not:\n%s%s", &text, &parsed)
	}
	parsed.Reset()
	if err := list(t.Context(), fake.NewSimpleClientset(), "json", &parsed); err != nil || parsed.String() != "[]\n" {
		t.Errorf("of nothing: %q, %v", &parsed, err)
	}
}

func TestDelete(t *testing.T) {
	client := fake.NewSimpleClientset(token.Bootstrap{ID: "aaaaaa", Secret: "0123456789abcdef"}.Object(), token.Bootstrap{ID: "bbbbbb"}.Object())
	wantFault(t, "the server token", remove(t.Context(), client, []string{"bbbbbb", "S3CRET"}, io.Discard), "short-lived")
	wantFault(t, "damaged", remove(t.Context(), client, []string{"SK1x"}, io.Discard), "damaged")
	full := wire.Token{CAHash: strings.Repeat("0f", 32), Secret: "aaaaaa.0123456789abcdef"}.String()
	var out bytes.Buffer
	if err := remove(t.Context(), client, []string{full, "bbbbbb"}, &out); err != nil || out.String() != "token aaaaaa deleted\ntoken bbbbbb deleted\n" {
		t.Errorf("got %q, %v", &out, err)
	}
	wantFault(t, "gone", remove(t.Context(), client, []string{"aaaaaa"}, io.Discard), "no token with the id aaaaaa")
}

// server answers a rotation.
func server(t *testing.T, status int, answer string) (*cluster.Connection, *[]string) {
	t.Helper()
	var got []string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var change wire.TokenChange
		if err := json.NewDecoder(r.Body).Decode(&change); err != nil {
			t.Error(err)
		}
		got = append(got, r.Method+" "+r.URL.Path, change.Secret)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	return &cluster.Connection{Config: &rest.Config{Host: s.URL, TLSClientConfig: rest.TLSClientConfig{CAData: certs.EncodeCert(s.Certificate())}}}, &got
}

func TestRotate(t *testing.T) {
	connection, got := server(t, http.StatusNoContent, "")
	made, err := rotate(t.Context(), connection, command.TokenRotate{NewToken: "hunter2"})
	ca, _ := connection.CA()
	if err != nil || made.Secret != "hunter2" || made.CAHash != certs.Fingerprint(ca) || strings.Join(*got, " ") != "PUT /v1-skerry/token hunter2" {
		t.Errorf("got %v, %v, sent %q", made, err, *got)
	}
	made, err = rotate(t.Context(), connection, command.TokenRotate{Token: "old"})
	if err != nil || len(made.Secret) < 20 || (*got)[3] != made.Secret {
		t.Errorf("got %v, %v, sent %q", made, err, *got)
	}
	*got = nil
	foreign := config.Secret(wire.NewToken(certtest.CA(t, "ca").Certificate).String())
	_, err = rotate(t.Context(), connection, command.TokenRotate{Token: foreign})
	wantFault(t, "the old token of another cluster", err, "--token was made by another cluster")
	_, err = rotate(t.Context(), connection, command.TokenRotate{NewToken: foreign})
	wantFault(t, "the new token of another cluster", err, "--new-token was made by another cluster")
	_, err = rotate(t.Context(), connection, command.TokenRotate{NewToken: "SK1x"})
	wantFault(t, "a damaged token", err, "--new-token: the token is damaged")
	if len(*got) > 0 {
		t.Errorf("sent %q", *got)
	}
}

func TestARotationThatIsRefused(t *testing.T) {
	for status, c := range map[int]struct{ answer, want string }{
		http.StatusForbidden:           {"amy may not call this\n", "amy may not call this; to cure: use the administrator's kubeconfig"},
		http.StatusUnauthorized:        {"no certificate", "administrator's"},
		http.StatusNotFound:            {"404 page not found", "no Skerry server"},
		http.StatusBadRequest:          {"it is too long; to cure: choose a shorter one", "it is too long; to cure: choose a shorter one"},
		http.StatusInternalServerError: {"disk full", "answers 500: disk full"},
	} {
		connection, _ := server(t, status, c.answer)
		_, err := rotate(t.Context(), connection, command.TokenRotate{})
		wantFault(t, http.StatusText(status), err, c.want)
	}
	connection, _ := server(t, http.StatusOK, "")
	connection.Config.Host = "https://127.0.0.1:1"
	_, err := rotate(t.Context(), connection, command.TokenRotate{})
	wantFault(t, "no server", err, "start the server")
}
