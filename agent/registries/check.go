package registries

import (
	"crypto/x509"
	"encoding/base64"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// checker collects the problems of a Config; at gives the place of a key.
type checker struct {
	at       func(keys ...string) string
	problems *fault.Problems
}

func check(c Config, at func(keys ...string) string, problems *fault.Problems) {
	k := checker{at, problems}
	for _, name := range slices.Sorted(maps.Keys(c.Mirrors)) {
		k.name("mirrors", name)
		k.mirror(name, c.Mirrors[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Configs)) {
		k.name("configs", name)
		k.auth(name, c.Configs[name].Auth)
		k.tls(name, c.Configs[name].TLS)
	}
}

func (k checker) name(section, name string) {
	if name != Any && (name == "" || strings.ContainsAny(name, "/*@ ") || strings.HasPrefix(name, ".")) {
		k.problems.Add(section, "%q is not the name of a registry", name).At(k.at(section, name)).
			Fix("write host or host:port, without https:// and path, or %q for all others", Any)
	}
}

func (k checker) mirror(name string, m Mirror) {
	for n, e := range m.Endpoints {
		place := k.at("mirrors", name, "endpoint", strconv.Itoa(n))
		u, err := parseEndpoint(e)
		switch {
		case err != nil:
			k.problems.Add("mirrors", "%q is not an address: %v", e, err).At(place).Fix("write for example https://mirror.example:5000")
		case u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "":
			k.problems.Add("mirrors", "%q is not the http or https address of a registry", e).At(place).Fix("write for example https://mirror.example:5000")
		case u.User != nil:
			k.problems.Add("mirrors", "the address of %s holds a user", u.Host).At(place).
				Fix("write user and password under configs, %q, auth", u.Host)
		}
	}
	if _, ok := m.prefix(); !ok {
		k.problems.Add("mirrors", "the mirrors of %q rewrite names by a pattern, which containerd cannot do", name).At(k.at("mirrors", name, "rewrite")).
			Fix(`only one rewrite is possible, and only one that puts a path before every name: "^(.*)$": "path/$1"; serve other names at the mirror itself`)
	}
}

func (k checker) auth(name string, a *Auth) {
	if a == nil {
		return
	}
	place := k.at("configs", name, "auth")
	if name == Any {
		k.problems.Add("configs", "credentials for every registry are not possible").At(place).Fix("write them under the name of each registry that needs them")
	}
	if *a == (Auth{}) {
		k.problems.Add("configs", "the credentials of %s are empty", name).At(place).Fix("give username and password, auth, or identity_token")
	}
	if a.Username == "" && a.Password != "" {
		k.problems.Add("configs", "a password for %s, but no username", name).At(place).Fix("add username")
	}
	if a.Auth != "" {
		text, err := base64.StdEncoding.DecodeString(a.Auth)
		if err != nil || !strings.Contains(string(text), ":") {
			k.problems.Add("configs", "auth of %s is not username:password in base64", name).At(k.at("configs", name, "auth", "auth")).
				Fix("copy it from Docker's config.json, or give username and password")
		}
	}
}

func (k checker) tls(name string, t *TLS) {
	if t == nil {
		return
	}
	if (t.CertFile == "") != (t.KeyFile == "") {
		k.problems.Add("configs", "cert_file and key_file of %s belong together", name).At(k.at("configs", name, "tls")).Fix("give both or neither")
	}
	for _, file := range [][2]string{{"ca_file", t.CAFile}, {"cert_file", t.CertFile}, {"key_file", t.KeyFile}} {
		key, path := file[0], file[1]
		if path == "" {
			continue
		}
		place := k.at("configs", name, "tls", key)
		text, err := os.ReadFile(path)
		switch {
		case !filepath.IsAbs(path):
			k.problems.Add("configs", "%s of %s is not an absolute path: %s", key, name, path).At(place).Fix("start it with /")
		case err != nil:
			k.problems.Add("configs", "%s of %s: %v", key, name, err).At(place).Fix("put the file there, or correct the path")
		case key == "ca_file" && !x509.NewCertPool().AppendCertsFromPEM(text):
			k.problems.Add("configs", "no certificate in %s", path).At(place).Fix("give a file of PEM certificates")
		}
	}
}

// prefix is the path that the rewrite of a mirror puts before every image name, empty for none. It is false for a
// rewrite that does something else.
func (m Mirror) prefix() (string, bool) {
	if len(m.Rewrites) == 0 {
		return "", true
	}
	if len(m.Rewrites) > 1 {
		return "", false
	}
	for pattern, replacement := range m.Rewrites {
		group := "$1"
		switch strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$") {
		case "(.*)", "(.+)":
		case ".*", ".+":
			group = "$0"
		default:
			return "", false
		}
		path, found := strings.CutSuffix(strings.NewReplacer("${1}", "$1", "${0}", "$0").Replace(replacement), "/"+group)
		if replacement == group {
			return "", true
		}
		return strings.Trim(path, "/"), found && !strings.Contains(path, "$")
	}
	return "", true
}
