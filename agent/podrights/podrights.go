package podrights

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"

	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/skerry-io/skerry/internal/durable"
	"github.com/skerry-io/skerry/internal/wire"
)

// Config says where rights are kept and who tells them.
type Config struct {
	File       string // what has to survive the process
	Kubeconfig string // of the kubelet; read by Run
	Log        *slog.Logger
}

// Rights are those of the node's pods, as servers said last.
type Rights struct {
	config Config
	said   atomic.Pointer[said] // nil while no server has said anything
	kept   string               // hash of what is on disk; Run's alone
	hurry  chan struct{}        // of Hurry
}

// said is what servers said last, as it is asked for.
type said struct {
	issuers, audiences []string
	keys               []key
	accounts           map[string]account // by user name
}

type key struct {
	id     string
	public any
}

type account struct {
	uid    string
	tokens []string // sums of those that lie in Secrets
	rules  []rule
}

// rule is one that holds in a namespace, or everywhere.
type rule struct {
	namespace string
	rbac.PolicyRule
}

// Open starts with what is on disk. A file that cannot be read is as good as none: a server will tell it again.
func Open(c Config) *Rights {
	r := &Rights{config: c, hurry: make(chan struct{}, 1)}
	text, err := recall(c.File)
	if err == nil && text != nil {
		err = r.adopt(text)
	}
	if err != nil {
		c.Log.Warn("what is remembered of pods' rights cannot be read; pods that ask the API get no answer until a server is in reach", "err", err)
		return r
	}
	if text != nil {
		r.kept = hash(text)
	}
	return r
}

// recall reads the file: the hash of the text, and the text.
func recall(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	sum, text, found := bytes.Cut(content, []byte("\n"))
	if !found || string(sum) != hash(text) {
		return nil, fmt.Errorf("%s is damaged", file)
	}
	return text, nil
}

// hash stands for a text.
func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// learn takes what a server says, in its own text.
func (r *Rights) learn(text []byte) error {
	if err := r.adopt(text); err != nil {
		return err
	}
	now := hash(text)
	if now == r.kept {
		return nil
	}
	if err := durable.WriteFile(r.config.File, append([]byte(now+"\n"), text...), 0o600); err != nil {
		r.config.Log.Warn("pods' rights could not be remembered; after a reboot without a server they are what they were before", "err", err)
		return nil
	}
	r.kept = now
	return nil
}

// forget is for servers that tell no rights: nobody would say when what was told before does not hold any more.
func (r *Rights) forget() {
	r.said.Store(nil)
	r.kept = ""
	if err := os.Remove(r.config.File); err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.config.Log.Warn("pods' rights could not be forgotten; after a reboot without a server they are what they were before", "err", err)
	}
}

// adopt answers by what a text says from now on.
func (r *Rights) adopt(text []byte) error {
	var told wire.PodRights
	if err := json.Unmarshal(text, &told); err != nil {
		return fmt.Errorf("read pods' rights: %w", err)
	}
	now := &said{issuers: told.Tokens.Issuers, audiences: told.Tokens.Audiences, accounts: map[string]account{}}
	for _, k := range told.Tokens.Keys {
		if public, err := x509.ParsePKIXPublicKey(k.Public); err == nil { // one of a later kind is left out
			now.keys = append(now.keys, key{k.ID, public})
		}
	}
	for _, a := range told.Accounts {
		now.accounts[serviceaccount.MakeUsername(a.Namespace, a.Name)] = account{a.UID, a.Tokens, rulesOf(a)}
	}
	r.said.Store(now)
	return nil
}

func rulesOf(a wire.Account) []rule {
	rules := make([]rule, 0, len(a.Rules))
	for _, r := range a.Rules {
		rules = append(rules, rule{r.Namespace, rbac.PolicyRule{Verbs: r.Verbs, APIGroups: r.Groups, Resources: r.Resources, ResourceNames: r.Names}})
	}
	return rules
}
