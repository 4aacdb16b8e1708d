package etcd

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// link is the way from one member to another.
type link struct{ from, to int }

// links stands between members: each reaches another through a proxy at the other's address, which can stop to pass anything on.
type links struct {
	t    testing.TB
	mu   sync.Mutex // guards what follows
	pids map[int]int
	cut  map[link]bool
	open map[net.Conn]link
}

func newLinks(t testing.TB) *links {
	return &links{t: t, pids: map[int]int{}, cut: map[link]bool{}, open: map[net.Conn]link{}}
}

// serve passes on what comes to the ports of a member to where it really listens.
func (l *links) serve(n int, at, behind netip.Addr) {
	for _, port := range []uint16{PeerPort, ClientPort} {
		listener, err := (&net.ListenConfig{}).Listen(l.t.Context(), "tcp", netip.AddrPortFrom(at, port).String())
		if err != nil {
			l.t.Fatal(err)
		}
		var passing sync.WaitGroup
		passing.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				passing.Go(func() { l.pass(conn, n, netip.AddrPortFrom(behind, port)) })
			}
		})
		l.t.Cleanup(func() {
			_ = listener.Close()
			l.drop(func(link) bool { return true })
			passing.Wait()
		})
	}
}

// pass carries one connection, for as long as the link is whole or only holds its breath.
func (l *links) pass(conn net.Conn, to int, behind netip.AddrPort) {
	defer conn.Close()
	way := link{l.owner(conn), to}
	other, err := (&net.Dialer{Timeout: time.Second}).DialContext(l.t.Context(), "tcp", behind.String())
	if err != nil {
		return
	}
	defer other.Close()
	l.mu.Lock()
	l.open[conn], l.open[other] = way, way
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, conn)
		delete(l.open, other)
	}()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{conn, other}, {other, conn}} {
		both.Go(func() {
			l.copy(pair[0], pair[1], way)
			_, _ = conn.Close(), other.Close()
		})
	}
	both.Wait()
}

// copy holds everything while the link is cut; what it held is lost with the connection, or late.
func (l *links) copy(from, to net.Conn, way link) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		for l.isCut(way) {
			if !wait(l.t.Context(), 10*time.Millisecond) {
				return
			}
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *links) isCut(way link) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut[way]
}

// set cuts or mends links; hard closes the connections too.
func (l *links) set(cut, hard bool, ways ...link) {
	l.mu.Lock()
	for _, way := range ways {
		l.cut[way] = cut
	}
	l.mu.Unlock()
	if hard {
		l.drop(func(one link) bool { return l.cut[one] == cut })
	}
}

func (l *links) drop(which func(link) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn, way := range l.open {
		if which(way) {
			_ = conn.Close()
		}
	}
}

func (l *links) started(n, pid int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pids[n] = pid
}

// owner is the member whose process has the other end of a connection; 0 for none.
func (l *links) owner(conn net.Conn) int {
	inode := inodeOf(conn)
	l.mu.Lock()
	pids := make(map[int]int, len(l.pids))
	for n, pid := range l.pids {
		pids[n] = pid
	}
	l.mu.Unlock()
	for n, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, file := range files {
			if to, err := os.Readlink(file); err == nil && to == "socket:["+inode+"]" {
				return n
			}
		}
	}
	return 0
}

// inodeOf is the number of the other end's socket of a connection.
func inodeOf(conn net.Conn) string {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close()
	theirs, ours := kernel(conn.RemoteAddr()), kernel(conn.LocalAddr())
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[1] == theirs && fields[2] == ours {
			return fields[9]
		}
	}
	return ""
}

// kernel writes an address as /proc does.
func kernel(a net.Addr) string {
	ip := a.(*net.TCPAddr).IP.To4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.(*net.TCPAddr).Port)
}
