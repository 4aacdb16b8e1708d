package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/skerry-io/skerry/datastore/backup"
	"github.com/skerry-io/skerry/datastore/engines"
	"github.com/skerry-io/skerry/datastore/vault"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/progress"
	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/host"
	skerrylog "github.com/skerry-io/skerry/internal/log"
)

// Restore brings a cluster back on this machine.
func Restore(ctx context.Context, env command.Env, c config.Restore, words []string) (err error) {
	if os.Geteuid() != 0 {
		return fault.New("restore a cluster as user %d", os.Geteuid()).Fix("run the command as root")
	}
	key, err := keyOf(c.PassphraseFile, c.IdentityFile, c.Backups)
	if err != nil {
		return err
	}
	open, err := opener(words[0], c.Backups, c.Paths())
	if err != nil {
		return err
	}
	if c.To != "" { // before time is spent on the backup
		if _, err := engines.Named(c.To); err != nil {
			return err
		}
	}
	hold := &holding{paths: c.Paths()}
	if _, err := os.Stat(c.Paths().Ledger()); err == nil { // otherwise nothing ever ran here, and nothing is made before the backup is known
		if err := hold.take(); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, hold.release()) }()
	bar := progress.New(env.Err).Bar()
	_, flags := config.Words[config.Restore](env.Args[min(2, len(env.Args)):])
	choice := &choice{sources: env.Sources(), flags: flags, has: isOwn}
	r := vault.Restoration{Backup: vault.Backup{Open: open, Key: key, Progress: bar.Set}, Paths: c.Paths(), ConfigFile: c.ConfigFile, Engine: choice.at, Force: c.Force, Now: time.Now(),
		Ready: func(m backup.Manifest, settings string) error {
			if err := choice.make(m, settings); err != nil {
				return err
			}
			return errors.Join(hold.take(), hold.places())
		}}
	done, err := r.Run(ctx)
	bar.End()
	if err != nil {
		return err
	}
	return tell(env.Out, done, choice)
}

func tell(to io.Writer, r *vault.Restored, c *choice) error {
	text := fmt.Sprintf("the cluster %s is restored as of %s, in %s: %d keys, %d files\n", r.Manifest.Cluster[:min(12, len(r.Manifest.Cluster))],
		r.Manifest.Made.Format(time.RFC3339), c.engine, r.Summary.Keys, r.Summary.Files)
	if r.Aside != "" {
		text += fmt.Sprintf("what was here before lies in %s\n", r.Aside)
	}
	for _, name := range r.Placed {
		text += fmt.Sprintf("written: %s\n", name)
	}
	for _, name := range r.Differ {
		text += fmt.Sprintf("written: %s, because there is another file on this machine, which stays; compare them\n", name)
	}
	if r.Unplaced != nil {
		text += fmt.Sprintf("not all settings of the backup could be written, which you can do by hand: %v\n", strings.ReplaceAll(r.Unplaced.Error(), "\n", "; "))
	}
	if c.advice != "" {
		text += c.advice + "\n"
	}
	text += "start the server now; nodes of the cluster come back by themselves where they reach it as before: under its former address, or a name in tls-san\n"
	_, err := io.WriteString(to, text)
	return err
}

// holding keeps nodes from running on this machine: the ledger is the lock.
type holding struct {
	paths  config.Paths
	ledger *host.Ledger
}

func (h *holding) take() error {
	if h.ledger != nil {
		return nil
	}
	ledger, err := host.Open(h.paths.Ledger(), skerrylog.New(io.Discard, false))
	if err != nil {
		return err
	}
	h.ledger = ledger
	return nil
}

// places notes what a reset has to take away again, as a server would at its start.
func (h *holding) places() error {
	if h.ledger == nil {
		return nil
	}
	if err := h.ledger.Apply(host.Dir{Path: h.paths.DataDir(), Placed: true}); err != nil {
		return err
	}
	return h.ledger.Apply(host.Dir{Path: h.paths.ServerDir(), Tree: true, Placed: true})
}

func (h *holding) release() error {
	if h.ledger == nil {
		return nil
	}
	return h.ledger.Close()
}

// choice is the engine that gets what is in a backup.
type choice struct {
	sources config.Sources
	flags   []string
	has     func(netip.Addr) bool // says what an address of this machine is
	engine  engines.Engine
	advice  string // what to change in the settings, so that the server uses it
}

func (c *choice) at(dir string) engines.Engine {
	e := c.engine
	e.Dir = dir
	return e
}

// make decides, before anything is written: as it was asked for, or as the settings say that this machine is going to have.
func (c *choice) make(m backup.Manifest, configFile string) error {
	settings, endpoint, err := understood(c.sources, c.flags, configFile)
	if err != nil {
		return err
	}
	usual := engines.Engine{Kind: engines.SQLite}
	switch {
	case endpoint.Kind != "":
		usual = engines.Engine{Endpoint: endpoint}
	case settings.ClusterInit || settings.Server != "" || m.Engine == engines.Etcd:
		usual = engines.Engine{Kind: engines.Etcd}
	}
	chosen := usual
	if settings.To != "" {
		if chosen, err = engines.Named(settings.To); err != nil {
			return err
		}
		c.advice = advice(chosen, endpoint, settings.ClusterInit || settings.Server != "")
	} else if !chosen.External() && m.Engine != engines.SQLite && m.Engine != engines.Etcd {
		c.advice = fmt.Sprintf("the keys were in %s, which no settings here or in the backup name, and are in %s now: start the server without datastore-endpoint, "+
			"or restore again with --to and the address", m.Engine, chosen)
	}
	for _, ip := range settings.NodeIP {
		if !c.has(ip) {
			c.advice = strings.TrimPrefix(fmt.Sprintf("%s\nnode-ip is %s in the settings, which is no address of this machine: change it before you start the server", c.advice, ip), "\n")
		}
	}
	own, err := settled(settings.Own)
	c.engine = found(chosen, settings.Elsewhere, own)
	return err
}

// isOwn says that an address is one of this machine, or that nobody knows.
func isOwn(ip netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(all, func(a net.Addr) bool {
		n, ok := a.(*net.IPNet)
		return ok && n.IP.Equal(ip.AsSlice())
	})
}

// understood reads the settings that a server is going to have. The flags are those of a restore.
func understood(src config.Sources, flags []string, configFile string) (config.Restore, config.Endpoint, error) {
	settings, err := config.LoadOver[config.Restore](src, flags, configFile)
	var problems *fault.Problems
	if errors.As(err, &problems) {
		for _, p := range problems.List() { // the file is gone by the time that this is read
			p.Where = strings.TrimPrefix(p.Where, filepath.Dir(configFile)+"/")
		}
	}
	if err != nil {
		return settings, config.Endpoint{}, fault.New("read the settings in the backup").Because(err).Fix("write a config file for this machine first; it is used instead")
	}
	endpoint, err := config.ParseEndpoint(settings.DatastoreEndpoint)
	return settings, endpoint, err
}

// settled is who this server is, as far as the settings leave that open.
func settled(own config.Own) (config.Own, error) {
	if own.AdvertiseAddress.IsValid() {
		return own, nil
	}
	if len(own.NodeIP) == 0 {
		var err error
		if own.NodeIP, err = host.NodeIPs(); err != nil {
			return own, err
		}
	}
	if len(own.NodeIP) > 0 {
		own.AdvertiseAddress = own.NodeIP[0]
	}
	return own, nil
}

// advice is what to change in the settings, so that a server uses an engine: it finds those inside by itself, unless something else is set.
func advice(e engines.Engine, now config.Endpoint, several bool) string {
	switch {
	case e.External() && e.Endpoint.Place != now.Place:
		return "set datastore-endpoint to the address that you gave: otherwise the server begins an empty cluster"
	case e.External():
		return ""
	case now.Kind != "":
		return "remove datastore-endpoint from the settings: otherwise the server goes on with " + now.Place
	case e.Kind == engines.SQLite && several:
		return "remove cluster-init and server from the settings, where they are: otherwise the server brings everything into etcd, or looks for other servers"
	}
	return ""
}
