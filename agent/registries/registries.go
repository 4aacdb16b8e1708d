package registries

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
)

// Any is the name that stands for every registry without an entry of its own.
const Any = "*"

// Config is registries.yaml. The zero value changes nothing: registries are asked directly.
type Config struct {
	Mirrors map[string]Mirror `yaml:"mirrors"` // by registry, as in image names, or Any
	Configs map[string]Host   `yaml:"configs"` // by host[:port] of a registry or mirror, or Any
}

// Mirror says where images of a registry are looked for first, in order; then the registry itself is asked.
type Mirror struct {
	Endpoints []string          `yaml:"endpoint"`
	Rewrites  map[string]string `yaml:"rewrite"` // only one that puts a prefix before every name
}

// Host is how to speak to one host.
type Host struct {
	Auth *Auth `yaml:"auth"`
	TLS  *TLS  `yaml:"tls"`
}

// Auth is a user with a password, both in base64 as Docker writes them, or a token.
type Auth struct {
	Username      string `yaml:"username"`
	Password      string `yaml:"password"`
	Auth          string `yaml:"auth"`
	IdentityToken string `yaml:"identity_token"`
}

// TLS is whom to trust, and who we are. Paths are absolute.
type TLS struct {
	CAFile             string `yaml:"ca_file"`
	CertFile           string `yaml:"cert_file"`
	KeyFile            string `yaml:"key_file"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

// Credentials gives what containerd's CRI takes as registry configs: by host, a table with the table "auth".
func (c Config) Credentials() map[string]any {
	all := map[string]any{}
	hosts := slices.Collect(maps.Keys(c.Configs))
	for _, m := range c.Mirrors {
		for _, e := range m.Endpoints {
			if u, err := parseEndpoint(e); err == nil {
				hosts = append(hosts, u.Host)
			}
		}
	}
	for _, host := range hosts {
		if auth := c.host("https", host).Auth; auth != nil && host != Any {
			all[dialed(host)] = map[string]any{"auth": map[string]any{"username": auth.Username, "password": auth.Password,
				"auth": auth.Auth, "identitytoken": auth.IdentityToken}}
		}
	}
	return all
}

// dialed is the host that requests for a registry go to.
func dialed(registry string) string {
	if registry == "docker.io" {
		return "registry-1.docker.io"
	}
	return registry
}

// host finds the settings of a host; a default port may be written or not.
func (c Config) host(scheme, host string) Host {
	port := map[string]string{"https": "443", "http": "80"}[scheme]
	for _, name := range []string{host, strings.TrimSuffix(host, ":"+port), net.JoinHostPort(strings.Trim(host, "[]"), port)} {
		if h, ok := c.Configs[name]; ok {
			return h
		}
	}
	if other := dialed(host); other != host {
		return c.host(scheme, other)
	}
	return c.Configs[Any]
}

// mirror finds the mirrors of a registry.
func (c Config) mirror(registry string) Mirror {
	if m, ok := c.Mirrors[registry]; ok {
		return m
	}
	return c.Mirrors[Any]
}

// parseEndpoint reads the address of a mirror. Without a scheme it is https, or http on this machine.
func parseEndpoint(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		scheme := "https://"
		if host, _, _ := strings.Cut(text, "/"); isLocal(host) {
			scheme = "http://"
		}
		text = scheme + text
	}
	return url.Parse(text)
}

func isLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
