package netpol

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skerry-io/skerry/internal/fault"
)

// door is what a policy says about the port that is connected to.
type door struct {
	protocol string // empty: any
	ports    []span // empty: any, or those of name
	name     string // of a port, which each pod may have at another number
}

// doors reads the ports of one rule. No ports mean one door that is wide open; ports that cannot be read open nothing.
func doors(ports []networking.NetworkPolicyPort) ([]door, error) {
	if len(ports) == 0 {
		return []door{{}}, nil
	}
	var (
		all     []door
		trouble error
		numbers = map[string][]span{}
		whole   = map[string]bool{}
	)
	for _, p := range ports {
		d, err := readPort(p)
		switch {
		case err != nil:
			trouble = err
		case d.name != "":
			if !slices.ContainsFunc(all, func(o door) bool { return o.name == d.name && o.protocol == d.protocol }) {
				all = append(all, d)
			}
		case len(d.ports) == 0:
			whole[d.protocol] = true
		default:
			numbers[d.protocol] = append(numbers[d.protocol], d.ports...)
		}
	}
	for _, protocol := range protocols() {
		switch {
		case whole[protocol]:
			all = append(all, door{protocol: protocol})
		case len(numbers[protocol]) > 0:
			all = append(all, door{protocol: protocol, ports: joinedSpans(numbers[protocol])})
		}
	}
	return all, trouble
}

// protocols are those that policies know, as nft writes them.
func protocols() []string { return []string{"tcp", "udp", "sctp"} }

// protocolOf reads a protocol; none means TCP.
func protocolOf(p *core.Protocol) (string, bool) {
	if p == nil {
		return "tcp", true
	}
	name := strings.ToLower(string(*p))
	return name, slices.Contains(protocols(), name)
}

func readPort(p networking.NetworkPolicyPort) (door, error) {
	protocol, known := protocolOf(p.Protocol)
	if !known {
		return door{}, fault.New("the protocol %q is not known", *p.Protocol).Fix("write TCP, UDP or SCTP")
	}
	d := door{protocol: protocol}
	switch {
	case p.Port == nil && p.EndPort != nil:
		return door{}, fault.New("endPort is %d and there is no port", *p.EndPort).Fix("name the first port, too")
	case p.Port == nil:
		return d, nil
	case p.Port.Type == intstr.String && (p.EndPort != nil || p.Port.StrVal == ""):
		return door{}, fault.New("port %q cannot begin a range", p.Port.StrVal).Fix("give a number with endPort")
	case p.Port.Type == intstr.String:
		d.name = p.Port.StrVal
		return d, nil
	}
	first, last := p.Port.IntVal, p.Port.IntVal
	if p.EndPort != nil {
		last = *p.EndPort
	}
	if first < 1 || last < first || last > math.MaxUint16 {
		return door{}, fault.New("the ports %d to %d are no range", first, last).Fix("give numbers from 1 to 65535, endPort not below port")
	}
	d.ports = []span{{uint16(first), uint16(last)}}
	return d, nil
}

func (s span) String() string {
	if s.first == s.last {
		return strconv.Itoa(int(s.first))
	}
	return fmt.Sprintf("%d-%d", s.first, s.last)
}

// portSetName names the set of these ports.
func portSetName(spans []span) string { return "ports-" + hash(fmt.Sprint(spans)) }

// joinedSpans sorts ranges and joins those that overlap or touch.
func joinedSpans(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return int(a.first) - int(b.first) })
	var all []span
	for _, s := range spans {
		if n := len(all); n > 0 && int(s.first) <= int(all[n-1].last)+1 {
			all[n-1].last = max(all[n-1].last, s.last)
			continue
		}
		all = append(all, s)
	}
	return all
}
