package config

import (
	"net/url"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// The kinds of datastores that others run.
const (
	KindEtcd     = "etcd"
	KindPostgres = "postgres"
	KindMySQL    = "mysql"
)

// Endpoint is a datastore that others run. Its zero value is none.
type Endpoint struct {
	// Kind is one of the constants above.
	Kind string
	// URLs are those of etcd.
	URLs []string
	// Source is what the driver of a database is told, with the password.
	Source Secret
	// Place says where it is, for people: nothing in it is secret.
	Place string
}

// ParseEndpoint reads what datastore-endpoint may hold; the zero Endpoint for nothing. Its errors do not repeat what they are about:
// there may be a password in it.
func ParseEndpoint(text Secret) (Endpoint, error) {
	if text == "" {
		return Endpoint{}, nil
	}
	e, wrong := parseEndpoint(text.Reveal())
	if wrong.what != "" {
		return Endpoint{}, fault.New("%s", wrong.what).Fix("%s", wrong.cure)
	}
	return e, nil
}

// wrong says what is, and what to do about it; nothing when nothing is.
type wrong struct{ what, cure string }

func parseEndpoint(text string) (Endpoint, wrong) {
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case !found:
		return Endpoint{}, wrong{"datastore-endpoint does not begin with a scheme", "write https://HOST:2379 for etcd, " + postgresForm + " or " + mysqlForm}
	case scheme == "http" || scheme == "https":
		return parseEtcd(text)
	case scheme == "postgres" || scheme == "postgresql":
		return parsePostgres(rest)
	case scheme == "mysql":
		return parseMySQL(rest)
	}
	return Endpoint{}, wrong{"datastore-endpoint has a scheme that is not known",
		"use https:// for etcd, postgres:// or mysql://; remove the setting for the datastore inside"}
}

const (
	postgresForm = "postgres://USER:PASSWORD@HOST:5432/DATABASE"
	mysqlForm    = "mysql://USER:PASSWORD@tcp(HOST:3306)/DATABASE"
	// usualDatabase is the database that is used when none is named.
	usualDatabase = "kubernetes"
)

func parseEtcd(list string) (Endpoint, wrong) {
	e := Endpoint{Kind: KindEtcd}
	for _, text := range strings.Split(list, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
			return Endpoint{}, wrong{"datastore-endpoint is not a list of addresses of etcd",
				"write scheme, host and port of each member, with commas between: https://10.0.0.1:2379,https://10.0.0.2:2379"}
		case u.User != nil:
			return Endpoint{}, wrong{"datastore-endpoint holds a user, and etcd is told who asks by a certificate",
				"remove the user, and set datastore-certfile and datastore-keyfile"}
		case len(e.URLs) > 0 && !strings.HasPrefix(e.URLs[0], u.Scheme+":"):
			return Endpoint{}, wrong{"datastore-endpoint mixes http and https",
				"use https for all members"}
		}
		e.URLs = append(e.URLs, u.Scheme+"://"+u.Host)
	}
	e.Place = "etcd at " + strings.Join(e.URLs, ",")
	return e, wrong{}
}

func parsePostgres(rest string) (Endpoint, wrong) {
	u, err := url.Parse("postgres://" + rest)
	if err != nil || u.Host == "" && u.Query().Get("host") == "" {
		return Endpoint{}, wrong{"datastore-endpoint is not the address of a Postgres database",
			"write " + postgresForm + "; other letters than a-z and 0-9 in user and password as %XX"}
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/" + usualDatabase
	}
	host := u.Host
	if host == "" {
		host = u.Query().Get("host")
	}
	return Endpoint{Kind: KindPostgres, Source: Secret(u.String()), Place: "postgres at " + host + u.Path}, wrong{}
}

// parseMySQL takes a data source name apart as its driver does: the password may hold any letter.
func parseMySQL(rest string) (Endpoint, wrong) {
	bad := wrong{"datastore-endpoint is not the address of a MySQL database", "write " + mysqlForm}
	slash := strings.LastIndex(rest, "/")
	if slash < 0 {
		return Endpoint{}, bad
	}
	where := rest[strings.LastIndex(rest[:slash], "@")+1 : slash]
	network, address, open := strings.Cut(where, "(")
	if !open || !strings.HasSuffix(address, ")") || address == ")" || network != "tcp" && network != "unix" {
		return Endpoint{}, bad
	}
	name, query, _ := strings.Cut(rest[slash+1:], "?")
	if name == "" {
		name = usualDatabase
		rest = rest[:slash+1] + name
		if query != "" {
			rest += "?" + query
		}
	}
	return Endpoint{Kind: KindMySQL, Source: Secret(rest), Place: "mysql at " + strings.TrimSuffix(address, ")") + "/" + name}, wrong{}
}

// Endpoint gives the datastore that others run, the zero Endpoint when there is none. Validate has refused what cannot be read.
func (s Server) Endpoint() Endpoint {
	e, _ := ParseEndpoint(s.DatastoreEndpoint) // the error was told by Validate
	return e
}
