package config

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// validateEndpoint looks at what can be known before anything is asked.
func (s Server) validateEndpoint(p *fault.Problems) {
	var e Endpoint
	if s.DatastoreEndpoint != "" {
		var wrong wrong
		if e, wrong = parseEndpoint(s.DatastoreEndpoint.Reveal()); wrong.what != "" {
			p.Add("datastore-endpoint", "%s", wrong.what).Fix("%s", wrong.cure)
			return
		}
	}
	s.validateEndpointFile("datastore-cafile", s.DatastoreCAFile, p)
	s.validateEndpointFile("datastore-certfile", s.DatastoreCertFile, p)
	s.validateEndpointFile("datastore-keyfile", s.DatastoreKeyFile, p)
	if (s.DatastoreCertFile == "") != (s.DatastoreKeyFile == "") {
		p.Add("datastore-keyfile", "datastore-certfile and datastore-keyfile belong together, and one of them is not set").Fix("set both, or neither")
	}
	if e.Kind == KindEtcd && strings.HasPrefix(e.URLs[0], "http:") && s.DatastoreCAFile+s.DatastoreCertFile != "" {
		p.Add("datastore-endpoint", "datastore-endpoint is http, which no certificate protects").Fix("write https, or remove the files")
	}
}

func (s Server) validateEndpointFile(key, path string, p *fault.Problems) {
	if path == "" {
		return
	}
	if s.DatastoreEndpoint == "" {
		p.Add(key, "%s is set, and datastore-endpoint is not", key).Fix("remove it, or say which datastore it is for")
		return
	}
	if validateAbs(key, path, p); p.Has(key) {
		return
	}
	if _, err := readBounded(path); err != nil {
		var told *fs.PathError
		if errors.As(err, &told) {
			err = told.Err
		}
		p.Add(key, "%s %s cannot be read: %v", key, path, err).Fix("write it there, readable for root")
	}
}
