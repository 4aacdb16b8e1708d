package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"

	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/wire"
)

// ErrNoAPI says that a short-lived token cannot be looked up, because the API server does not answer yet.
var ErrNoAPI = errors.New("the API server is starting")

// Config says where the tokens lie, and what the user chose.
type Config struct {
	File      string // of the server token
	AgentFile string // of the agent token, which exists only while one is chosen
	Chosen    string // server token of the settings, empty when there is none
	Agent     string // agent token of the settings
	// Shared says that the files are those of several servers: they count whatever the settings of this one say, but for an agent token
	// that is set.
	Shared bool
}

// Store is the opened tokens of a server.
type Store struct {
	config Config
	hash   string // of the CA that tokens are bound to

	mu     sync.RWMutex // guards what follows
	server string
	agent  string // empty when agents join with the server token
}

// Open reads the token file, or writes it: with the user's choice when there is one, else with a new secret. Its text
// always carries the fingerprint of ca. The file of the agent token follows the settings.
func Open(c Config, ca *x509.Certificate, log *slog.Logger) (*Store, error) {
	s := &Store{config: c, hash: certs.Fingerprint(ca)}
	text, err := os.ReadFile(c.File)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New("read the token file").Because(err).Fix("make %s a file that can be read, or remove it to have a new token made", c.File)
	}
	chosen, err := s.choice(log)
	if err != nil {
		return nil, err
	}
	if c.Shared && text != nil {
		s.mind(chosen, string(text), log)
		chosen = ""
	}
	switch {
	case chosen != "":
		s.server = chosen
	case text != nil:
		kept, err := wire.ParseToken(string(text))
		if err != nil {
			return nil, fault.New("the token file %s is empty or damaged", c.File).
				Fix("put the file back from a backup, or remove it to have a new token made")
		}
		s.server = kept.Secret
	default:
		s.server = wire.NewToken(ca).Secret
	}
	if string(text) != line(s.Server()) {
		if err := durable.WriteFile(c.File, []byte(line(s.Server())), 0o600); err != nil {
			return nil, err
		}
	}
	return s, s.openAgent()
}

// choice is the secret of the settings. One that was changed away while the server ran does not come back because it
// still stands there.
func (s *Store) choice(log *slog.Logger) (string, error) {
	if s.config.Chosen == "" {
		return "", nil
	}
	set, err := wire.ParseToken(s.config.Chosen)
	if err != nil {
		return "", err
	}
	if old, err := os.ReadFile(s.replacedFile()); err == nil && strings.TrimSpace(string(old)) == digest(set.Secret) {
		log.Warn("the settings still name a server token that was replaced; the one in the file counts", "file", s.config.File,
			"cure", "remove token or token-file from the settings, or set another token")
		return "", nil
	}
	return set.Secret, nil
}

// mind tells that the token of the settings is not the one of the servers.
func (s *Store) mind(chosen, text string, log *slog.Logger) {
	if kept, err := wire.ParseToken(text); err == nil && chosen != "" && chosen != kept.Secret {
		log.Warn("the settings name another server token than the one of this cluster's servers, which counts", "file", s.config.File,
			"cure", "remove token or token-file from the settings; `skerry token rotate` changes the token of all servers")
	}
}

func (s *Store) openAgent() error {
	if s.config.Agent == "" && s.config.Shared {
		var err error
		s.agent, err = readAgent(s.config.AgentFile)
		return err
	}
	if s.config.Agent == "" {
		if err := os.Remove(s.config.AgentFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the agent token that is no longer set: %w", err)
		}
		return nil
	}
	set, err := wire.ParseToken(s.config.Agent)
	if err != nil {
		return fmt.Errorf("agent-token: %w", err)
	}
	s.agent = set.Secret
	if text, err := os.ReadFile(s.config.AgentFile); err == nil && string(text) == line(s.Agent()) {
		return nil
	}
	return durable.WriteFile(s.config.AgentFile, []byte(line(s.Agent())), 0o600)
}

// readAgent reads the agent token's file, which need not exist.
func readAgent(file string) (secret string, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	kept, err := wire.ParseToken(string(text))
	if err != nil {
		return "", fault.New("the agent token's file %s is empty or damaged", file).Fix("set agent-token, or put the file back from another server")
	}
	return kept.Secret, nil
}

// Reload takes the tokens from their files, where another server's have come. The old server token does not come back by the settings.
func (s *Store) Reload() error {
	text, err := os.ReadFile(s.config.File)
	if err != nil {
		return err
	}
	now, err := wire.ParseToken(string(text))
	if err != nil {
		return err
	}
	agent, err := readAgent(s.config.AgentFile)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Secret != s.server {
		if err := durable.WriteFile(s.replacedFile(), []byte(digest(s.server)+"\n"), 0o600); err != nil {
			return err
		}
	}
	s.server, s.agent = now.Secret, agent
	return nil
}

func line(t wire.Token) string { return t.String() + "\n" }

// replacedFile holds the digest of the last server token that was changed away.
func (s *Store) replacedFile() string { return s.config.File + ".replaced" }

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Server is the server token.
func (s *Store) Server() wire.Token {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return wire.Token{CAHash: s.hash, Secret: s.server}
}

// Agent is what agents join with: a token of their own, or the server token.
func (s *Store) Agent() wire.Token {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.agent != "" {
		return wire.Token{CAHash: s.hash, Secret: s.agent}
	}
	return wire.Token{CAHash: s.hash, Secret: s.server}
}

// IsServer compares a secret with the server token's.
func (s *Store) IsServer(secret string) bool { return same(s.Server().Secret, secret) }

// Check says whether a secret lets a node join: the server token, the agent token, or a short-lived one that client
// finds. A *fault.Fault is a refusal with its cure; any other error means that it cannot be said now, ErrNoAPI that
// client is nil.
func (s *Store) Check(ctx context.Context, client kubernetes.Interface, secret string) error {
	// Both are compared whatever the first says: the time taken tells nothing.
	server, agent := same(s.Server().Secret, secret), same(s.Agent().Secret, secret)
	if server || agent {
		return nil
	}
	id, rest, short := wire.Token{Secret: secret}.Bootstrap()
	if !short {
		return fault.New("the token is not one of this cluster, or it was replaced").
			Fix("take the content of %s on the server, or make one there with `skerry token create`", s.config.File)
	}
	if client == nil {
		return ErrNoAPI
	}
	return check(ctx, client, id, rest)
}

// Change replaces the server token. The old one is refused from the moment Change returns, also after a restart. A
// *fault.Fault says that the secret cannot be a token.
func (s *Store) Change(text string) error {
	made, err := wire.ParseToken(text)
	if err != nil {
		return err
	}
	if err := s.fit(made); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if made.Secret == s.server {
		return nil
	}
	// First that the old one is dead, then the new one: a power cut between the two leaves the old one in the file, and
	// there it counts.
	if err := durable.WriteFile(s.replacedFile(), []byte(digest(s.server)+"\n"), 0o600); err != nil {
		return err
	}
	if err := durable.WriteFile(s.config.File, []byte(line(wire.Token{CAHash: s.hash, Secret: made.Secret})), 0o600); err != nil {
		return err
	}
	s.server = made.Secret
	return nil
}

// maxSecret bounds a secret, in bytes: it has to fit into a header.
const maxSecret = 512

func (s *Store) fit(t wire.Token) error {
	odd := func(r rune) bool { return r <= ' ' || r > '~' }
	switch {
	case t.CAHash != "" && t.CAHash != s.hash:
		return fault.New("the new token carries the fingerprint of another cluster's CA").Fix("leave the fingerprint out: `skerry token generate` makes a secret")
	case len(t.Secret) > maxSecret:
		return fault.New("the new token is longer than %d characters", maxSecret).Fix("choose a shorter one")
	case strings.ContainsFunc(t.Secret, odd):
		return fault.New("the new token has a space, or a character that is not plain ASCII").Fix("choose letters, digits and signs")
	}
	return nil
}

func same(want, given string) bool {
	return subtle.ConstantTimeCompare([]byte(want), []byte(given)) == 1
}
