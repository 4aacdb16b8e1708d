package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/coredns/caddy/caddyfile"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/pkg/parse"
	"github.com/coredns/coredns/plugin/pkg/transport"

	"github.com/skerry-io/skerry/internal/fault"
)

// The endings of the users' keys: the one adds to the settings for all names, the other brings zones with settings of
// their own.
const (
	overrideKey = ".override"
	serverKey   = ".server"
)

// block is a server block of a Corefile.
type block struct {
	zones  []string
	tokens map[string][]caddyfile.Token // by directive
	main   bool                         // for all names that no other block is for
}

// corefile gives the blocks of CoreDNS' settings. What users say for all names comes before what Skerry does, and in
// its place where CoreDNS takes only one.
func corefile(upstreams []netip.AddrPort, custom map[string]string) ([]block, error) {
	main := block{zones: []string{"."}, tokens: map[string][]caddyfile.Token{}, main: true}
	var others []block
	for _, key := range sorted(custom) {
		switch {
		case strings.HasSuffix(key, overrideKey):
			if err := main.add(key, custom[key]); err != nil {
				return nil, err
			}
		case strings.HasSuffix(key, serverKey):
			more, err := servers(key, custom[key])
			if err != nil {
				return nil, err
			}
			others = append(others, more...)
		}
	}
	own, err := caddyfile.Parse("skerry", strings.NewReader(". {\n"+usual(upstreams)+"}\n"), directives())
	if err != nil {
		return nil, fmt.Errorf("the DNS settings inside: %w", err)
	}
	for directive, tokens := range own[0].Tokens {
		if len(main.tokens[directive]) == 0 || directive == "forward" {
			main.tokens[directive] = append(main.tokens[directive], tokens...)
		}
	}
	return unique(append([]block{main}, others...))
}

// usual are Skerry's own settings for all names.
func usual(upstreams []netip.AddrPort) string {
	text := `errors {
		consolidate 5m .* warning show_first
	}
	loadbalance
	cache 30 {
		success 2048
		denial 2048
		servfail 1s
	}
	`
	if len(upstreams) == 0 {
		return text
	}
	var to []string
	for _, u := range upstreams {
		to = append(to, u.String())
	}
	// One more try than there are servers: without a bound, a network that is down would be tried without a pause.
	return text + fmt.Sprintf(`forward . %s {
		policy sequential
		max_concurrent 1000
		max_connect_attempts %d
		health_check 2s
		failfast_all_unhealthy_upstreams
	}
	`, strings.Join(to, " "), len(to)+1)
}

// add takes a user's directives into the block.
func (b *block) add(key, text string) error {
	parsed, err := read(key, ". { ", text, "\n}\n")
	if err != nil {
		return err
	}
	for directive, tokens := range parsed[0].Tokens {
		b.tokens[directive] = append(b.tokens[directive], tokens...)
	}
	return nil
}

// servers reads a user's server blocks. They answer where all the others do, so a port in a key says nothing.
func servers(key, text string) ([]block, error) {
	parsed, err := read(key, "", text, "")
	if err != nil {
		return nil, err
	}
	var blocks []block
	for _, p := range parsed {
		b := block{tokens: p.Tokens}
		for _, name := range p.Keys {
			scheme, rest := parse.Transport(name)
			hosts, port, err := plugin.SplitHostPort(rest)
			switch {
			case err != nil:
				return nil, mistake(key, err)
			case scheme != transport.DNS:
				return nil, mistake(key, fmt.Errorf("%s: pods ask by plain DNS only", name))
			case port != "" && port != transport.Port:
				return nil, mistake(key, fmt.Errorf("%s: pods ask at port %s only", name, transport.Port))
			}
			for _, host := range hosts {
				b.zones = append(b.zones, plugin.Host(host).NormalizeExact()...)
			}
		}
		if len(b.zones) == 0 {
			return nil, mistake(key, errors.New("a block names no zone"))
		}
		blocks = append(blocks, b)
	}
	return blocks, nil
}

// read parses a user's text between others.
func read(key, before, text, after string) ([]caddyfile.ServerBlock, error) {
	if err := harmless(text); err != nil {
		return nil, mistake(key, err)
	}
	blocks, err := caddyfile.Parse(key, strings.NewReader(before+text+after), slices.Concat(directives(), ignored()))
	if err != nil {
		return nil, mistake(key, err)
	}
	for _, b := range blocks {
		for _, tokens := range b.Tokens {
			for i := range tokens {
				tokens[i].File = key // errors name it, and lines of two keys are not taken for one
			}
		}
	}
	return blocks, nil
}

// harmless refuses what would reach out of the text: into the settings around it, and into files and variables of this
// process, which is not one that users may have them read by.
func harmless(text string) error {
	words, open := caddyfile.NewDispenser("", strings.NewReader(text)), 0
	for words.Next() && open >= 0 {
		switch word := words.Val(); {
		case word == "{":
			open++
		case word == "}":
			open--
		case word == "import", strings.Contains(word, "{$"), strings.Contains(word, "{%"):
			return fmt.Errorf("line %d: %q is not possible here, where files and variables are those of the node", words.Line(), word)
		}
	}
	if open != 0 {
		return errors.New("the braces are not in pairs")
	}
	return nil
}

func mistake(key string, why error) error {
	return fault.New("the key %s", key).Because(why).Fix("correct it; the plugins are %s", strings.Join(directives(), ", "))
}

// unique wants every zone to be in one block only.
func unique(blocks []block) ([]block, error) {
	seen := map[string]bool{}
	for _, b := range blocks {
		for _, zone := range b.zones {
			if seen[zone] {
				return nil, fault.New("two blocks are for the zone %s", zone).Fix("make one of them; for all names, use a key that ends in %s", overrideKey)
			}
			seen[zone] = true
		}
	}
	return blocks, nil
}
