package podrights

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skerry-io/skerry/internal/wire"
)

func reads(resource string) wire.ReadRule {
	return wire.ReadRule{Verbs: []string{"get"}, Groups: []string{""}, Resources: []string{resource}}
}

func (p *place) mayGet(resource string) bool {
	return p.May(User{Name: "system:serviceaccount:a:web"}, Ask{Verb: "get", Resource: resource, Namespace: "a", Name: "x"})
}

func TestAfterARebootItKnowsWhatServersSaid(t *testing.T) {
	ours := newECDSA(t, "k")
	file := filepath.Join(t.TempDir(), "pod-rights")
	before := newPlace(t, file)
	if err := before.learn(told(t, []signer{ours}, web(reads("pods")))); err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, file)
	if _, err := p.Who(ours.sign(t, claims())); err != nil || !p.mayGet("pods") || p.kept != before.kept || p.kept == "" || p.log.Len() > 0 {
		t.Errorf("%v, may %t, has %q, logs %s", err, p.mayGet("pods"), p.kept, &p.log)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
}

func TestAFileThatIsNotAsItWasWrittenGivesNoRights(t *testing.T) {
	ours := newECDSA(t, "k")
	file := filepath.Join(t.TempDir(), "pod-rights")
	text := told(t, []signer{ours}, web(reads("pods")))
	if err := newPlace(t, file).learn(text); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string][]byte{
		"empty": {}, "foreign": []byte("servers: []\n"), "without its sum": text, "with more behind": append(bytes.Clone(whole), ' '),
		"of another form": append([]byte(hash([]byte("[]"))+"\n"), "[]"...),
		"a bit turned":    bytes.Replace(whole, []byte(`"pods"`), []byte(`"podr"`), 1),
	}
	for cut := 1; cut < len(whole); cut += 7 {
		contents[fmt.Sprintf("cut at %d", cut)] = whole[:cut]
	}
	for name, content := range contents {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		p := newPlace(t, file)
		if _, err := p.Who(ours.sign(t, claims())); err == nil || p.mayGet("pods") || p.mayGet("podr") || p.kept != "" {
			t.Errorf("%s: %v, may %t, has %q", name, err, p.mayGet("pods"), p.kept)
		}
		if !strings.Contains(p.log.String(), "level=WARN") {
			t.Errorf("%s: it warns of nothing", name)
		}
		if err := p.learn(text); err != nil || !p.mayGet("pods") {
			t.Errorf("%s: a server cannot tell it again: %v", name, err)
		}
	}
}

func TestTheFileIsWrittenOnlyForWhatIsNew(t *testing.T) {
	dir := t.TempDir()
	p := newPlace(t, filepath.Join(dir, "rights", "pod-rights"))
	text := told(t, nil, web(reads("pods")))
	if err := p.learn(text); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "rights")); err != nil {
		t.Fatal(err)
	}
	if err := p.learn(text); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "rights")); err == nil {
		t.Error("it is written again")
	}
	// A disk that takes nothing is no reason not to know.
	if err := os.WriteFile(filepath.Join(dir, "rights"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	kept := p.kept
	if err := p.learn(told(t, nil, web(reads("secrets")))); err != nil || !p.mayGet("secrets") || p.mayGet("pods") || p.kept != kept || !strings.Contains(p.log.String(), "could not be remembered") {
		t.Errorf("%v, may %t, logs %s", err, p.mayGet("secrets"), &p.log)
	}
}

// script is a server that says lines to whoever asks, one list after the other, and then nothing for as long as they listen.
type script struct {
	lists [][]string
	asked chan string // the questions
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked <- r.URL.RequestURI()
	if len(s.lists) == 0 {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	now := s.lists[0]
	s.lists = s.lists[1:]
	if now == nil {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	for _, line := range now {
		_, _ = fmt.Fprintln(w, line)
	}
}

func TestItListensAgainAndAgain(t *testing.T) {
	pods, secrets := string(told(t, nil, web(reads("pods")))), string(told(t, nil, web(reads("secrets"))))
	s := &script{lists: [][]string{nil, {"no JSON", pods}, {pods, secrets}}, asked: make(chan string, 10)}
	server := httptest.NewServer(s)
	defer server.Close()
	p := newPlace(t, filepath.Join(t.TempDir(), "pod-rights"))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan struct{})
	go func() { defer close(ended); p.source(server.Client(), server.URL+wire.PathPodRights).Follow(ctx) }()
	for n, have := range []string{"", "", hash([]byte(pods)), hash([]byte(secrets))} {
		if got := <-s.asked; got != wire.PathPodRights+"?watch=true&have="+have {
			t.Errorf("question %d is %s", n, got)
		}
	}
	stop()
	<-ended
	if p.mayGet("pods") || !p.mayGet("secrets") || !strings.Contains(p.log.String(), "not understood") {
		t.Errorf("what was said before counts still, or what was not understood is not told: %s", &p.log)
	}
}

func TestTheMostThatServersSayIsTaken(t *testing.T) {
	text := string(told(t, nil, web(reads("pods"))))
	for more, want := range map[int]bool{0: true, 1: false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPlace(t, filepath.Join(t.TempDir(), "pod-rights"))
			p.hear(t, func() (*http.Response, error) {
				line := text + strings.Repeat(" ", wire.MaxPodRights+more-len(text)) + "\n"
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(line))}, nil
			})
			if p.mayGet("pods") != want {
				t.Errorf("%d bytes more than the most: may %t", more, p.mayGet("pods"))
			}
		})
	}
}

// transport answers all requests the same.
type transport func() (*http.Response, error)

func (f transport) RoundTrip(*http.Request) (*http.Response, error) { return f() }

// hear listens for ten seconds, in which a server that has nothing of use is asked twice at least.
func (p *place) hear(t *testing.T, answers transport) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	p.source(&http.Client{Transport: answers}, "http://server").Follow(ctx)
}

func TestAServerThatIsBackIsAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan time.Time, 100)
		client := &http.Client{Transport: transport(func() (*http.Response, error) {
			asked <- time.Now()
			return nil, errors.New("no server is in reach")
		})}
		ctx, stop := context.WithCancel(t.Context())
		p := newPlace(t, filepath.Join(t.TempDir(), "pod-rights"))
		ended := make(chan struct{})
		go func() { defer close(ended); p.source(client, "http://server").Follow(ctx) }()
		time.Sleep(time.Hour)
		last := time.Now()
		for len(asked) > 0 {
			last = <-asked
		}
		time.Sleep(time.Until(last.Add(30 * time.Second))) // in the middle of a pause
		back := time.Now()
		p.Hurry()
		if took := (<-asked).Sub(back); took > time.Second {
			t.Errorf("it is asked after %v", took)
		}
		stop()
		<-ended
	})
}

func TestWhereServersTellNoRightsTheyAreForgotten(t *testing.T) {
	for status, want := range map[int]bool{http.StatusNotFound: false, http.StatusServiceUnavailable: true, http.StatusForbidden: true, http.StatusConflict: true} {
		synctest.Test(t, func(t *testing.T) {
			p, asked := informed(t, nil, web(reads("pods"))), 0
			p.hear(t, func() (*http.Response, error) {
				asked++
				return &http.Response{StatusCode: status, Body: http.NoBody}, nil
			})
			_, err := os.Stat(p.config.File)
			if asked < 2 || p.mayGet("pods") != want || (err == nil) != want || (p.kept != "") != want || p.log.Len() > 0 {
				t.Errorf("%d, %d times: may %t, file %v, has %q, logs %s", status, asked, p.mayGet("pods"), err, p.kept, &p.log)
			}
		})
	}
}

func TestAKeyOfAnUnknownKindIsLeftOut(t *testing.T) {
	ours := newECDSA(t, "k")
	p := newPlace(t, filepath.Join(t.TempDir(), "pod-rights"))
	text := bytes.Replace(told(t, []signer{ours}, web()), []byte(`"keys":[`), []byte(`"keys":[{"id":"new","public":"AAAA"},`), 1)
	if err := p.learn(text); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Who(ours.sign(t, claims())); err != nil {
		t.Error(err)
	}
}
