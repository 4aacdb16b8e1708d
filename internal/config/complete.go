package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
)

// dnsOffset is where in the service range the DNS service sits.
const dnsOffset = 10

func (n *Node) complete(src Sources, problems *fault.Problems) {
	n.DataDir = cleanPath(n.DataDir)
	n.completeName(src, problems)
	n.completeToken(problems)
	n.KubeletArg = trimDashes(n.KubeletArg)
	n.KubeProxyArg = trimDashes(n.KubeProxyArg)
}

// completeName takes the name that the node has, or else the host's; node names are lower case, host names need not be.
func (n *Node) completeName(src Sources, problems *fault.Problems) {
	if n.NodeName == "" && !problems.Has("node-name") && src.KeptName != nil {
		if kept, joined := src.KeptName(n.Paths().AgentDir()); joined {
			n.NodeName = kept
		}
	}
	if n.NodeName == "" && !problems.Has("node-name") {
		host, err := src.Hostname()
		if err != nil {
			problems.Add("node-name", "the host name cannot be read: %v", err).Fix("set node-name")
			return
		}
		n.NodeName = strings.TrimSuffix(strings.TrimSpace(host), ".")
	}
	n.NodeName = strings.ToLower(n.NodeName)
}

func (n *Node) completeToken(problems *fault.Problems) {
	n.Token = readToken("token", n.Token, n.TokenFile, problems)
}

// readToken takes the token from its file, where one is named.
func readToken(key string, token Secret, file string, problems *fault.Problems) Secret {
	if file == "" {
		return token
	}
	if token != "" {
		problems.Add(key+"-file", "%s and %s-file are both set", key, key).Fix("keep one of the two")
		return token
	}
	content, err := readBounded(file)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		problems.Add(key+"-file", "%s-file %s cannot be read: %v", key, file, err).
			Fix("write the token there, readable for root, or set %s", key)
		return ""
	}
	token = Secret(strings.TrimSpace(string(content)))
	if token == "" {
		problems.Add(key+"-file", "%s-file %s is empty", key, file).Fix("write the token there, or set %s", key)
	}
	return token
}

func (s *Server) complete(src Sources, problems *fault.Problems) {
	s.Node.complete(src, problems)
	s.AgentToken = readToken("agent-token", s.AgentToken, s.AgentTokenFile, problems)
	s.Common.complete(src, problems)
}

func (p *Place) complete(Sources, *fault.Problems) { p.DataDir = cleanPath(p.DataDir) }

// cleanPath keeps an empty path empty, so that its check can say so.
func cleanPath(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Clean(path)
}

// trimDashes lets an argument be written as it stands on a command line.
func trimDashes(args []string) []string {
	for i, arg := range args {
		args[i] = strings.TrimLeft(arg, "-")
	}
	return args
}

// nth is the address n after the first of a range.
func nth(prefix netip.Prefix, n int) netip.Addr {
	addr := prefix.Masked().Addr()
	for range n {
		addr = addr.Next()
	}
	return addr
}
