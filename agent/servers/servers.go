package servers

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/skerry-io/skerry/internal/durable"
)

// Config is what the list starts from.
type Config struct {
	File       string       // where the list is remembered
	Configured string       // URL of a server, from the settings
	Own        []netip.Addr // addresses of this machine
	Node       string       // name of this node; each node has its own order, so that the servers share the nodes
	Kubeconfig string       // file of a user who may watch EndpointSlices; read by Run
}

// Servers is the list.
type Servers struct {
	config Config
	beside bool // the server of the settings runs on this machine
	log    *slog.Logger

	mu      sync.Mutex // guards what follows
	learned []string
	changed chan struct{} // closed and replaced at each change
}

// remembered is the content of the file.
type remembered struct {
	Servers []string `json:"servers"`
}

// Open starts with what is remembered. A file that cannot be read is as good as none: the settings name a server.
func Open(c Config, log *slog.Logger) *Servers {
	c.Configured = strings.TrimRight(c.Configured, "/")
	s := &Servers{config: c, log: log, changed: make(chan struct{})}
	if at, err := url.Parse(c.Configured); err == nil {
		ip, err := netip.ParseAddr(at.Hostname())
		s.beside = err == nil && ip.IsLoopback()
	}
	learned, err := recall(c.File)
	if err != nil {
		log.Warn("the remembered list of servers cannot be read; the cluster will tell it again", "err", err)
	}
	s.learned = learned
	return s
}

func recall(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var known remembered
	if err := json.Unmarshal(text, &known); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return slices.DeleteFunc(known.Servers, func(text string) bool {
		at, err := url.Parse(text)
		return err != nil || at.Scheme != "https" || at.Host == ""
	}), nil
}

// URLs is the list, the first choice first: the server on this machine; then those of the cluster, in an order of this
// node's own; last the one of the settings, which may be a name or an address that leads to any of them.
func (s *Servers) URLs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	urls := slices.DeleteFunc(slices.Clone(s.learned), func(text string) bool { return s.beside && s.isOwn(text) })
	slices.SortFunc(urls, func(a, b string) int { return cmp.Or(cmp.Compare(s.weight(a), s.weight(b)), cmp.Compare(a, b)) })
	switch {
	case s.beside:
		return append([]string{s.config.Configured}, urls...)
	case slices.Contains(urls, s.config.Configured):
		return urls
	}
	return append(urls, s.config.Configured)
}

// isOwn says that a URL leads to the server on this machine, which is first by its loopback address already.
func (s *Servers) isOwn(text string) bool {
	at, err := url.Parse(text)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(at.Hostname())
	return err == nil && slices.Contains(s.config.Own, ip)
}

// weight orders servers differently on each node.
func (s *Servers) weight(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s.config.Node + " " + text)) // never fails
	return h.Sum64()
}

// Changed closes when URLs gives another list. Ask for it before URLs, so that no change is missed.
func (s *Servers) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// learn takes what the cluster says.
func (s *Servers) learn(urls []string) {
	if len(urls) == 0 {
		return // a cluster without a server could not have said so
	}
	slices.Sort(urls)
	urls = slices.Compact(urls)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(urls, s.learned) {
		return
	}
	s.learned = urls
	close(s.changed)
	s.changed = make(chan struct{})
	text, err := json.Marshal(remembered{Servers: urls})
	if err == nil {
		err = durable.WriteFile(s.config.File, text, 0o600)
	}
	if err != nil {
		s.log.Warn("the list of servers could not be remembered; a reboot with the configured server away will have to wait for it", "err", err)
	}
	s.log.Info("the cluster's servers are known", "servers", urls)
}
