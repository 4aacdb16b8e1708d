package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/skerry-io/skerry/internal/fault"
)

// Common are the settings of a server that the rest of its cluster counts on: its other servers, its nodes, or what runs there. A server
// that takes its place needs the same.
type Common struct {
	HTTPSListenPort      int            `key:"https-listen-port" def:"6443" as:"port" help:"port of the Kubernetes and supervisor API"`
	TLSSAN               []string       `key:"tls-san" as:"name or address" help:"further names and addresses in the server certificate"`
	ClusterCIDR          []netip.Prefix `key:"cluster-cidr" def:"10.42.0.0/16" as:"CIDR" help:"addresses of pods, at most one IPv4 and one IPv6 range"`
	ServiceCIDR          []netip.Prefix `key:"service-cidr" def:"10.43.0.0/16" as:"CIDR" help:"addresses of services, at most one IPv4 and one IPv6 range"`
	ServiceNodePortRange PortRange      `key:"service-node-port-range" def:"30000-32767" as:"first-last" help:"ports of services of type NodePort"`
	ClusterDNS           []netip.Addr   `key:"cluster-dns" as:"address" help:"address of the cluster's DNS service (default: the tenth address of service-cidr, 10.43.0.10)"`
	ClusterDomain        string         `key:"cluster-domain" def:"cluster.local" as:"name" help:"DNS domain of the cluster"`

	SecretsEncryption       bool          `key:"secrets-encryption" def:"true" help:"store Secrets encrypted, with a key that lies in server/cred; the same on all servers. What is stored already follows the setting, in the background"`
	NodeCertificateLifetime time.Duration `key:"node-certificate-lifetime" def:"8760h" as:"duration" help:"how long certificates of nodes are good, which bounds what a machine may do that was stolen or replaced; nodes get new ones when two thirds are over, and with their key alone when they were away for longer"`

	EgressSelectorMode string         `key:"egress-selector-mode" def:"agent" oneof:"agent,cluster,pod,disabled" as:"mode" help:"what the API server reaches through the agents' tunnels: kubelets (agent), also pods by their node's range (pod), also pods by their addresses (cluster), nothing (disabled)"`
	FlannelBackend     string         `key:"flannel-backend" def:"vxlan" oneof:"vxlan,host-gw,wireguard-native,none" as:"name" help:"how pods of different nodes reach each other; none leaves it to a network of your own"`
	FlannelExternalIP  bool           `key:"flannel-external-ip" help:"let nodes reach each other by their external addresses"`
	ServiceLBPool      []AddressRange `key:"servicelb-pool" as:"CIDR or first-last" help:"addresses of which each Service of type LoadBalancer gets one of its own, announced by one node (default: Services get the addresses of nodes)"`

	Disable                  []string `key:"disable" oneof:"dns,helm,manifests,storage,metrics,servicelb,network-policy" as:"name" help:"components to do without"`
	DisableKubeProxy         bool     `key:"disable-kube-proxy" help:"run no kube-proxy, because something else serves Services"`
	KubeAPIServerArg         []string `key:"kube-apiserver-arg" sep:"none" as:"flag=value" help:"extra flags of kube-apiserver"`
	KubeControllerManagerArg []string `key:"kube-controller-manager-arg" sep:"none" as:"flag=value" help:"extra flags of kube-controller-manager"`
	KubeSchedulerArg         []string `key:"kube-scheduler-arg" sep:"none" as:"flag=value" help:"extra flags of kube-scheduler"`
}

// commonName is the file that they are kept in.
const commonName = "settings.yaml"

// ReadCommon reads what File has written. What this release does not know is left out: it may have been one of an earlier release.
func ReadCommon(text []byte) (c Common, err error) {
	var problems fault.Problems
	t := newTable(Settings[Common]())
	t.skipUnknown = true
	for _, g := range t.parseYAML(commonName, text, &problems) {
		g.store(reflect.ValueOf(&c).Elem(), &problems)
	}
	c.complete(Sources{}, &problems)
	return c, problems.Err()
}

// File gives all of them, as a config file has them.
func (c Common) File() ([]byte, error) {
	return c.file(func(Setting) bool { return true })
}

// Beyond gives those that a config file and its drop-ins do not lead to, in the same form: what is missing there. It is empty when nothing is.
func (c Common) Beyond(configFile string) ([]byte, error) {
	there, _, err := loadOver[Common](Sources{}, nil, configFile)
	if err != nil {
		return nil, err
	}
	return c.file(func(s Setting) bool { return s.Text(c) != s.Text(there) })
}

// Against names those that a config file or its drop-ins say otherwise, with the place.
func (c Common) Against(configFile string) (all []string, err error) {
	there, values, err := loadOver[Common](Sources{}, nil, configFile)
	for i, s := range Settings[Common]() {
		if err == nil && values[i].Origin != byDefault && s.Text(c) != s.Text(there) {
			all = append(all, fmt.Sprintf("%s is %s in %s, and not %s", s.Key, orNothing(s.Text(there)), values[i].Origin, orNothing(s.Text(c))))
		}
	}
	return all, err
}

func orNothing(text string) string {
	if text == "" {
		return "empty"
	}
	return text
}

// file gives some of them, as a config file has them; nothing when there are none.
func (c Common) file(wanted func(Setting) bool) ([]byte, error) {
	all := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range Settings[Common]() {
		if !wanted(s) {
			continue
		}
		var key, value yaml.Node
		if err := errors.Join(key.Encode(s.Key), value.Encode(plain(reflect.ValueOf(c).FieldByIndex(s.index)))); err != nil {
			return nil, err
		}
		all.Content = append(all.Content, &key, &value)
	}
	if len(all.Content) == 0 {
		return nil, nil
	}
	return yaml.Marshal(all)
}

// plain is a value as YAML has it: a switch, a number, a text, or a list of texts.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Bool:
		return v.Interface()
	case reflect.Slice:
		texts := make([]string, v.Len())
		for i := range texts {
			texts[i] = textOf(v.Index(i))
		}
		return texts
	}
	if number, ok := v.Interface().(int); ok {
		return number
	}
	return textOf(v)
}

func (c *Common) complete(_ Sources, problems *fault.Problems) {
	c.KubeAPIServerArg = trimDashes(c.KubeAPIServerArg)
	c.KubeControllerManagerArg = trimDashes(c.KubeControllerManagerArg)
	c.KubeSchedulerArg = trimDashes(c.KubeSchedulerArg)
	c.ClusterDomain = strings.ToLower(strings.TrimSuffix(c.ClusterDomain, "."))
	if len(c.ClusterDNS) > 0 || problems.Has("cluster-dns") {
		return
	}
	for _, prefix := range c.ServiceCIDR {
		c.ClusterDNS = append(c.ClusterDNS, nth(prefix, dnsOffset))
	}
}
