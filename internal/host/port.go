package host

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/skerry-io/skerry/internal/fault"
)

// PortFree is nil when a TCP address can be listened on, and otherwise a fault that names the process which holds it
// if that can be found.
func PortFree(addr netip.AddrPort) error {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
	if err == nil {
		return l.Close()
	}
	f := fault.New("listen on %s", addr).Because(err)
	if !errors.Is(err, unix.EADDRINUSE) {
		return f
	}
	holder := PortHolder(addr.Port())
	if holder == "" {
		return f.Fix("another program holds the port (ss -ltnp 'sport = :%d' may name it); stop it or choose another port", addr.Port())
	}
	return f.Fix("%s holds the port; stop it or choose another port", holder)
}

// PortHolder names the process that listens on a TCP port, "" when it cannot be seen.
func PortHolder(port uint16) string {
	var inodes []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if text, err := os.ReadFile(table); err == nil {
			inodes = append(inodes, listeners(text, port)...)
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !slices.Contains(inodes, strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil {
			continue
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			return fmt.Sprintf("process %d", pid)
		}
		return fmt.Sprintf("%s (process %d)", bytes.TrimSpace(name), pid)
	}
	return ""
}

// listeners reads /proc/net/tcp: the socket numbers that listen on the port.
func listeners(text []byte, port uint16) []string {
	const listening = "0A"
	var inodes []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line) // sl local remote state queues timer retransmits uid timeout inode ...
		if len(f) < 10 || f[3] != listening {
			continue
		}
		_, hexPort, ok := strings.Cut(f[1], ":")
		raw, err := hex.DecodeString(hexPort)
		if ok && err == nil && len(raw) == 2 && uint16(raw[0])<<8|uint16(raw[1]) == port {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}
