package egress

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// namesTTL is how long an answer about a node is good, in seconds.
	namesTTL = 5
	// maxDNS is the longest answer of a DNS server, in bytes.
	maxDNS = 64 << 10
)

// Resolver knows the names of nodes; all others it asks the machine's DNS servers for. A request for a node's proxy has
// kube-apiserver look up the node's name before it connects, with net.DefaultResolver and not by way of Dial.
func (d *Dialer) Resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, server string) (net.Conn, error) {
		return &question{ctx: ctx, network: network, server: server, book: d.book}, nil
	}}
}

// question is a connection of Go's resolver to a DNS server. As it is no net.PacketConn, messages come and go with their
// lengths before them, whatever the network is.
type question struct {
	ctx             context.Context // of the lookup, which is as long as the connection
	network, server string
	book            *book
	deadline        time.Time
	answer          bytes.Buffer
}

// Write takes a whole question, and has its answer ready when it returns.
func (q *question) Write(framed []byte) (int, error) {
	if len(framed) < 2 {
		return 0, io.ErrShortWrite
	}
	answer, ours := q.book.tell(framed[2:])
	if !ours {
		var err error
		if answer, err = q.pass(framed); err != nil {
			return 0, err
		}
	}
	q.answer.Write(binary.BigEndian.AppendUint16(nil, uint16(len(answer))))
	q.answer.Write(answer)
	return len(framed), nil
}

func (q *question) Read(b []byte) (int, error) { return q.answer.Read(b) }

// pass asks the DNS server.
func (q *question) pass(framed []byte) ([]byte, error) {
	conn, err := (&net.Dialer{Deadline: q.deadline}).DialContext(q.ctx, q.network, q.server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(q.deadline); err != nil {
		return nil, err
	}
	if _, packets := conn.(net.PacketConn); packets {
		answer := make([]byte, maxDNS)
		if _, err := conn.Write(framed[2:]); err != nil {
			return nil, err
		}
		n, err := conn.Read(answer)
		return answer[:n], err
	}
	if _, err := conn.Write(framed); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err = io.ReadFull(conn, answer)
	return answer, err
}

func (q *question) Close() error                       { return nil }
func (q *question) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (q *question) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (q *question) SetDeadline(t time.Time) error      { q.deadline = t; return nil }
func (q *question) SetReadDeadline(t time.Time) error  { q.deadline = t; return nil }
func (q *question) SetWriteDeadline(t time.Time) error { q.deadline = t; return nil }

// tell answers a question for the addresses of a node; ours is false for any other.
func (b *book) tell(question []byte) (answer []byte, ours bool) {
	var p dnsmessage.Parser
	header, err1 := p.Start(question)
	asked, err2 := p.Question()
	if errors.Join(err1, err2) != nil {
		return nil, false
	}
	found, known := b.node(strings.ToLower(strings.TrimSuffix(asked.Name.String(), ".")))
	if !known || len(found.addresses) == 0 {
		return nil, false
	}
	message := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: true, RecursionAvailable: true},
		Questions: []dnsmessage.Question{asked},
	}
	for _, ip := range found.addresses {
		if body := record(ip); kind(body) == asked.Type {
			message.Answers = append(message.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: asked.Name, Class: dnsmessage.ClassINET, TTL: namesTTL}, Body: body})
		}
	}
	text, err := message.Pack()
	return text, err == nil
}

func record(ip netip.Addr) dnsmessage.ResourceBody {
	if ip.Is4() {
		return &dnsmessage.AResource{A: ip.As4()}
	}
	return &dnsmessage.AAAAResource{AAAA: ip.As16()}
}

func kind(body dnsmessage.ResourceBody) dnsmessage.Type {
	if _, four := body.(*dnsmessage.AResource); four {
		return dnsmessage.TypeA
	}
	return dnsmessage.TypeAAAA
}
