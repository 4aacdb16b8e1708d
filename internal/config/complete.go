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

// completeName takes the host's name; node names are lower case, host names need not be.
func (n *Node) completeName(src Sources, problems *fault.Problems) {
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
	if n.TokenFile == "" {
		return
	}
	if n.Token != "" {
		problems.Add("token-file", "token and token-file are both set").Fix("keep one of the two")
		return
	}
	content, err := readBounded(n.TokenFile)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		problems.Add("token-file", "token file %s cannot be read: %v", n.TokenFile, err).
			Fix("write the token there, readable for root, or set token")
		return
	}
	n.Token = Secret(strings.TrimSpace(string(content)))
	if n.Token == "" {
		problems.Add("token-file", "token file %s is empty", n.TokenFile).Fix("write the token there, or set token")
	}
}

func (s *Server) complete(src Sources, problems *fault.Problems) {
	s.Node.complete(src, problems)
	s.KubeAPIServerArg = trimDashes(s.KubeAPIServerArg)
	s.KubeControllerManagerArg = trimDashes(s.KubeControllerManagerArg)
	s.KubeSchedulerArg = trimDashes(s.KubeSchedulerArg)
	s.ClusterDomain = strings.ToLower(strings.TrimSuffix(s.ClusterDomain, "."))
	if len(s.ClusterDNS) > 0 || problems.Has("cluster-dns") {
		return
	}
	for _, prefix := range s.ServiceCIDR {
		s.ClusterDNS = append(s.ClusterDNS, nth(prefix, dnsOffset))
	}
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
