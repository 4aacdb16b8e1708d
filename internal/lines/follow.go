package lines

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	// soon and late bound the pause before a server is asked again. A part of each pause is random, so that nodes that have lost their server
	// at the same moment come one after the other.
	soon, late = time.Second, time.Minute
	// maxReason bounds what is read of a refusal, in bytes.
	maxReason = 4 << 10
)

// errEnded says that a server has nothing to say any more.
var errEnded = errors.New("the server ended its answer")

// Source is a route of the servers that says lines.
type Source struct {
	HTTP *http.Client
	// URL is asked before each request.
	URL func() string
	// Longest is how many bytes a line may have, its end not counted. A longer one ends the answer.
	Longest int
	// Take is handed each line, which is its own only until it returns. An error says that it is of no use: the next one is waited for, as this
	// one would be the same again.
	Take func(line []byte) error
	// Silent is told why nobody is heard any more.
	Silent func(error)
	// Hurry says that a server is in reach again: a long pause ends. Nil when nobody says so.
	Hurry <-chan struct{}
}

// Follow listens until ctx ends, and asks again when a server has ended.
func (s Source) Follow(ctx context.Context) {
	pause := soon
	for {
		began := time.Now()
		err := s.listen(ctx, func() { pause = soon })
		if time.Since(began) > late { // a server that has nothing new to say
			pause = soon
		}
		if ctx.Err() != nil {
			return
		}
		s.Silent(err)
		select {
		case <-time.After(pause + rand.N(pause)):
			pause = min(2*pause, late)
			continue
		case <-s.Hurry:
			pause = soon
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(rand.N(soon)):
		case <-ctx.Done():
			return
		}
	}
}

// listen takes what a server says for as long as it does; taken is called after each line that is of use.
func (s Source) listen(ctx context.Context, taken func()) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL(), http.NoBody)
	if err != nil {
		return err
	}
	answer, err := s.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := Judge(answer); err != nil {
		return err
	}
	said := bufio.NewScanner(answer.Body)
	said.Buffer(nil, s.Longest+len("\n"))
	said.Split(whole)
	for said.Scan() {
		if s.Take(said.Bytes()) == nil {
			taken()
		}
	}
	if err := said.Err(); err != nil {
		return err
	}
	return errEnded
}

// whole splits at the ends of lines. What has none was cut off.
func whole(text []byte, last bool) (advance int, line []byte, err error) {
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		return end + 1, text[:end], nil
	}
	if last {
		return len(text), nil, nil
	}
	return 0, nil, nil
}

// RefusedError is a server's answer that is none to the question.
type RefusedError struct {
	Code   int    // of HTTP
	Status string // the code in words
	Reason string // what the server says
}

// Error is a sentence.
func (e *RefusedError) Error() string { return "the server answers " + e.Status + ": " + e.Reason }

// Judge is an error, a *RefusedError, unless a server has answered the question.
func Judge(answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxReason)) // half a reason is better than none
	return &RefusedError{Code: answer.StatusCode, Status: answer.Status, Reason: string(bytes.TrimSpace(text))}
}
