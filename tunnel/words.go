package tunnel

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// A word is what an end says beside the connections: the data of a websocket ping, which costs its few bytes and nothing else.
// Its first byte is a number; the answer is a pong with the same number and answered set. An end that knows no words answers
// with the word itself, as every websocket does: it lives, and that is all.
const answered = 0x80

// maxWord bounds a word and an answer, in bytes.
const maxWord = 100

// hearsFor is how long an end waits for whoever answers its words.
const hearsFor = 2 * time.Second

var (
	// ErrNoTunnel says that there is no tunnel to a server, or none that words go through.
	ErrNoTunnel = errors.New("no tunnel to this server that takes words")
	// ErrSilent says that nothing at all came from the other end meanwhile.
	ErrSilent = errors.New("the other end of the tunnel went silent")
	// errLate says that something came, but no answer: the link has other things to carry.
	errLate = errors.New("the answer takes too long")
)

// Hears answers a word of a node; an empty answer is a refusal. ctx ends before the node loses its patience, and with the tunnel.
type Hears func(ctx context.Context, node string, word []byte) (answer []byte)

// line is what is said by one end of a tunnel, and how it knows that the other one lives.
type line struct {
	conn  *conn
	hears func(ctx context.Context, word []byte) []byte // nil where words are not answered

	began   time.Time
	heard   atomic.Int64  // when anything came last, in nanoseconds after began: clocks are set
	turn    chan struct{} // who holds its entry says a word, and owns number
	number  byte
	answers chan []byte // holds the newest

	answering atomic.Bool

	mu   sync.Mutex // guards over, and busy against a late start
	over bool
	busy sync.WaitGroup
}

// newLine has a tunnel's websocket carry words, before anybody reads it.
func newLine(c *conn, hears func(context.Context, []byte) []byte) *line {
	l := &line{conn: c, hears: hears, began: time.Now(), turn: make(chan struct{}, 1), answers: make(chan []byte, 1)}
	l.hear()
	c.heard = l.hear
	c.ws.SetPingHandler(l.asked)
	c.ws.SetPongHandler(l.told)
	return l
}

func (l *line) hear() { l.heard.Store(int64(time.Since(l.began))) }

// quiet is for how long nothing came.
func (l *line) quiet() time.Duration { return time.Since(l.began) - time.Duration(l.heard.Load()) }

// asked takes a word of the other end. It is called by who reads the websocket and must not wait.
func (l *line) asked(word string) error {
	l.hear()
	if !l.answering.CompareAndSwap(false, true) {
		return nil // it says one word at a time, and has given this one's answer up
	}
	l.start(func() {
		said := l.answer([]byte(word))
		l.answering.Store(false) // the next word comes as soon as this is read
		l.write(websocket.PongMessage, said)
	})
	return nil
}

// start has something done until close.
func (l *line) start(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over {
		l.busy.Go(what)
	}
}

// close ends the tunnel, and returns when nothing is said in it any more.
func (l *line) close() {
	_ = l.conn.Close()
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.busy.Wait()
}

func (l *line) answer(word []byte) []byte {
	if len(word) < 2 || l.hears == nil {
		return word
	}
	ctx, cancel := context.WithTimeout(l.conn.life, hearsFor)
	defer cancel()
	said := l.hears(ctx, word[1:])
	return append([]byte{word[0] | answered}, said[:min(len(said), maxWord)]...)
}

// told takes an answer. It must not wait, either.
func (l *line) told(answer string) error {
	l.hear()
	select {
	case <-l.answers: // to a word that nobody waits for any more
	default:
	}
	select {
	case l.answers <- []byte(answer):
	default: // two at once, which no end of ours sends
	}
	return nil
}

// write has no deadline: one that passes would break the encryption, and a link that is full is no dead one. It ends with the
// connection.
func (l *line) write(kind int, data []byte) { _ = l.conn.ws.WriteControl(kind, data, time.Time{}) }

// say says a word and gives the answer, empty for a refusal. When nothing at all comes for so long, that is ErrSilent.
func (l *line) say(ctx context.Context, word []byte, patience time.Duration) ([]byte, error) {
	began, late := time.Now(), time.NewTimer(patience)
	defer late.Stop()
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-late.C:
		return nil, l.unanswered(began)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.conn.done:
		return nil, ErrNoTunnel
	}
	l.number = (l.number + 1) &^ answered
	number := l.number
	l.start(func() { l.write(websocket.PingMessage, append([]byte{number}, word...)) })
	for {
		select {
		case got := <-l.answers:
			switch {
			case len(got) == 0 || got[0]&^answered != number:
			case got[0] == number && len(word) > 0:
				return nil, ErrNoTunnel
			default:
				return slices.Clip(got[1:]), nil
			}
		case <-late.C:
			return nil, l.unanswered(began)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-l.conn.done:
			return nil, ErrNoTunnel
		}
	}
}

// unanswered says what it means that there is no answer to a word that somebody began to say then.
func (l *line) unanswered(began time.Time) error {
	if l.quiet() < time.Since(began) {
		return errLate
	}
	return ErrSilent
}

// watch asks whether the other end lives when it has been silent for a while, until the connection ends. It ends it when nothing
// comes then, either: a word alone may be lost with one packet, which is sent again later than its speaker has patience.
func (l *line) watch(p pulse) {
	for {
		if l.quiet() >= p.silence {
			if _, err := l.say(context.Background(), nil, p.answer); errors.Is(err, ErrSilent) {
				_ = l.conn.Close()
				return
			}
		}
		again := time.NewTimer(p.silence - l.quiet())
		select {
		case <-again.C:
		case <-l.conn.done:
			again.Stop()
			return
		}
	}
}
