package lines

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// transport answers all requests the same.
type transport func() (*http.Response, error)

func (f transport) RoundTrip(*http.Request) (*http.Response, error) { return f() }

func says(text string) transport {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(text))}, nil
	}
}

// of is a source whose lines nobody needs.
func of(t transport) Source {
	return Source{
		HTTP: &http.Client{Transport: t}, URL: func() string { return "http://server" }, Longest: 10,
		Take: func([]byte) error { return nil }, Silent: func(error) {},
	}
}

// What is said is heard at once, while the answer goes on.
func TestLinesAreHeard(t *testing.T) {
	t.Parallel()
	more := make(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		say, err := Open(w)
		if err != nil {
			t.Error(err)
			return
		}
		for line := range more {
			if err := say([]byte(line)); err != nil {
				t.Error(err)
			}
		}
	}))
	defer server.Close()
	heard := make(chan string)
	s := of(nil)
	s.HTTP, s.URL = server.Client(), func() string { return server.URL }
	s.Take = func(line []byte) error { heard <- string(line); return nil }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() { defer close(ended); s.Follow(ctx) }()
	for _, line := range []string{"one", "", strings.Repeat("x", s.Longest)} {
		more <- line
		if got := <-heard; got != line {
			t.Errorf("heard %q for %q", got, line)
		}
	}
	close(more)
	stop()
	<-ended
}

func TestWhatIsTooMuchEndsTheAnswer(t *testing.T) {
	t.Parallel()
	s := of(says("1\n" + strings.Repeat("x", 13) + "\n2\n"))
	var heard []string
	s.Take = func(line []byte) error { heard = append(heard, string(line)); return nil }
	if err := s.listen(t.Context(), func() {}); err == nil || !strings.Contains(err.Error(), "too long") || !slices.Equal(heard, []string{"1"}) {
		t.Errorf("got %v, heard %q", err, heard)
	}
}

func TestWhatIsCutOffIsNoLine(t *testing.T) {
	t.Parallel()
	s := of(says("1\n22"))
	var heard []string
	s.Take = func(line []byte) error { heard = append(heard, string(line)); return nil }
	if err := s.listen(t.Context(), func() {}); !errors.Is(err, errEnded) || !slices.Equal(heard, []string{"1"}) {
		t.Errorf("got %v, heard %q", err, heard)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := of(func() (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusConflict, Status: "409 Conflict", Body: io.NopCloser(strings.NewReader(strings.Repeat(" not you ", 10000)))}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	var err error
	s.Silent = func(why error) { err = why; stop() }
	s.Take = func([]byte) error { t.Error("it is taken"); return nil }
	s.Follow(ctx)
	if no := (*RefusedError)(nil); !errors.As(err, &no) || no.Code != http.StatusConflict || len(no.Reason) > maxReason ||
		!strings.HasPrefix(err.Error(), "the server answers 409 Conflict: not you") {
		t.Errorf("got %v", err)
	}
}

func TestAServerThatSaysNothingOfUseIsAskedLessAndLess(t *testing.T) {
	for name, text := range map[string]string{"nothing": "", "what is of no use": "x\n", "too much": strings.Repeat(" ", 20)} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			s := of(func() (*http.Response, error) {
				asked++
				return says(text)()
			})
			s.Take = func([]byte) error { return errors.New("of no use") }
			ctx, stop := context.WithTimeout(t.Context(), time.Hour)
			defer stop()
			s.Follow(ctx)
			if asked < 30 || asked > 70 {
				t.Errorf("%s: it is asked %d times in an hour", name, asked)
			}
		})
	}
}

func TestAServerThatSaysSomethingIsAskedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := of(func() (*http.Response, error) {
			asked++
			return says("x\n")()
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		s.Follow(ctx)
		if asked < 15 || asked > 60 { // at least after 4 seconds, at most after one
			t.Errorf("it is asked %d times in a minute", asked)
		}
	})
}

func TestAServerThatIsBackIsAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan time.Time, 100)
		s := of(func() (*http.Response, error) {
			asked <- time.Now()
			return nil, errors.New("no server is in reach")
		})
		hurry := make(chan struct{}, 1)
		s.Hurry = hurry
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); s.Follow(ctx) }()
		time.Sleep(time.Hour)
		last := time.Now()
		for len(asked) > 0 {
			last = <-asked
		}
		time.Sleep(time.Until(last.Add(late / 2))) // in the middle of a pause
		back := time.Now()
		hurry <- struct{}{}
		if took := (<-asked).Sub(back); took > soon {
			t.Errorf("it is asked after %v", took)
		}
		if took := (<-asked).Sub(back); took > 4*soon {
			t.Errorf("it is asked again after %v", took)
		}
		stop()
		<-ended
	})
}
