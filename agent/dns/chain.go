package dns

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/coredns/caddy"
	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/miekg/dns"

	// The plugins that users can name; directives says in which order they are asked.
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/hosts"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/template"

	"github.com/skerry-io/skerry/internal/fault"
)

// serverType is what CoreDNS calls itself towards the library that reads its settings.
const serverType = "dns"

// directives are the plugins, in the order in which they are asked. It is CoreDNS' own but for the cache, which stands behind
// those that answer from memory: names of the cluster would pay for it, and gain nothing.
func directives() []string {
	return []string{"errors", "log", "loadbalance", "rewrite", "template", "hosts", "cache", "forward"}
}

// links are plugins that no directive is for, by the directive that comes after them in the main block.
type links map[string]plugin.Plugin

// ignored are directives that say nothing here, but often stand in settings made for a CoreDNS of its own.
func ignored() []string { return []string{"health", "loop", "prometheus", "ready", "reload"} }

// chain is one set of settings at work.
type chain struct {
	server *dnsserver.Server
	users  sync.WaitGroup // questions that are being answered
	end    []func() error
}

// newChain makes the plugins of all blocks and starts what they have to start.
//
// CoreDNS' usual way, caddy.Start, opens the sockets itself, keeps instances in package variables, and starts everything
// anew with each reload, so that names would be forgotten that no server may be there to tell again. So plugins are set up
// one by one here, as CoreDNS' own tests do it.
func newChain(blocks []block, own links) (made *chain, err error) {
	defer fault.Recover(&err) // plugins meet users' words here
	root := caddy.NewTestController(serverType, "")
	instance, err := instanceOf(root)
	if err != nil {
		return nil, err
	}
	var configs []*dnsserver.Config
	for i, b := range blocks {
		c, err := setUp(root, i, b, own)
		if err != nil {
			return nil, errors.Join(err, runAll(instance.OnShutdown))
		}
		configs = append(configs, c...)
	}
	server, err := dnsserver.NewServer("dns://skerry", configs)
	if err == nil {
		err = runAll(instance.OnStartup)
	}
	if err != nil {
		return nil, errors.Join(err, runAll(instance.OnShutdown))
	}
	return &chain{server: server, end: instance.OnShutdown}, nil
}

func (c *chain) close() { _ = runAll(c.end) } // plugins that will not stop cannot be helped

func runAll(all []func() error) error {
	var errs []error
	for _, f := range all {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// instanceOf gives what the plugins of a controller register their start and their end with. The library shows it to
// nobody but its own starter.
func instanceOf(c *caddy.Controller) (*caddy.Instance, error) {
	field := reflect.ValueOf(c).Elem().FieldByName("instance")
	if field.Kind() != reflect.Pointer || field.Type() != reflect.TypeFor[*caddy.Instance]() {
		return nil, errors.New("this version of the library that reads CoreDNS' settings keeps them elsewhere")
	}
	return (*caddy.Instance)(field.UnsafePointer()), nil
}

// setUp makes the plugins of one block, and gives its settings for each of its zones.
func setUp(root *caddy.Controller, index int, b block, own links) ([]*dnsserver.Config, error) {
	c := *root // plugins keep it
	c.ServerBlockIndex, c.ServerBlockKeys, c.Key = index, b.zones, b.zones[0]
	config := dnsserver.GetConfig(&c)
	for _, directive := range directives() {
		if link := own[directive]; b.main && link != nil {
			config.AddPlugin(link)
		}
		tokens := b.tokens[directive]
		if len(tokens) == 0 {
			continue
		}
		set, err := caddy.DirectiveAction(serverType, directive)
		if err != nil {
			return nil, fmt.Errorf("the plugin %s: %w", directive, err)
		}
		at := c
		at.Dispenser = caddyfile.NewDispenserTokens(tokens[0].File, tokens)
		if err := set(&at); err != nil {
			return nil, fmt.Errorf("%s: %w", tokens[0].File, err)
		}
	}
	config.AddPlugin(func(plugin.Handler) plugin.Handler { return nobody{} })
	var configs []*dnsserver.Config
	for _, zone := range b.zones {
		own := *config
		own.Zone = zone
		configs = append(configs, &own)
	}
	return configs, nil
}

// errNobody is for names that nobody can be asked for. It is no answer that a name does not exist: who gets one may
// remember it.
var errNobody = errors.New("no DNS server is known that could be asked")

// nobody is the end of every chain.
type nobody struct{}

func (nobody) Name() string { return "nobody" }

func (nobody) ServeDNS(context.Context, dns.ResponseWriter, *dns.Msg) (int, error) {
	return dns.RcodeServerFailure, errNobody
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
