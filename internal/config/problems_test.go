package config_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/skerry-io/skerry/internal/config"
)

func TestBrokenFiles(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want []string
	}{
		"unknown key":               {"debug: true\ntls-sans: [a]", []string{`config.yaml:2: unknown key "tls-sans"; to cure: did you mean "tls-san"?`}},
		"unknown key, nothing near": {"frobnicate: 1", []string{`config.yaml:1: unknown key "frobnicate"; to cure: remove it; docs/config.md lists the settings`}},
		"duplicate key":             {"debug: true\n\ndebug: false", []string{"config.yaml:3: \"debug\" stands in line 1 already; to cure: keep one of the two; `name+:` in another file adds to a list"}},
		"mapping for a value":       {"node-name: {a: b}", []string{"config.yaml:1: node-name is a mapping; to cure: write `node-name: VALUE`, or remove the line to keep the default"}},
		"list for a value":          {"node-name: [a, b]", []string{"config.yaml:1: node-name is a list; to cure: write `node-name: VALUE`, or remove the line to keep the default"}},
		"mapping in a list":         {"tls-san:\n- a\n- b: c", []string{"config.yaml:3: tls-san is a mapping; to cure: write `tls-san: [A, B]`, or one `- entry` per line; remove the line to keep the default"}},
		"empty value":               {"token:", []string{"config.yaml:1: token is empty; to cure: write `token: VALUE`, or remove the line to keep the default"}},
		"not a bool":                {"debug: maybe", []string{`config.yaml:1: debug: "maybe" is neither true nor false; to cure: write true or false`}},
		"not a number":              {"https-listen-port: https", []string{`config.yaml:1: https-listen-port: "https" is not a whole number; to cure: write digits only`}},
		"not an address in a list":  {"node-ip:\n- 10.0.0.1\n- ten", []string{`config.yaml:3: node-ip: "ten" is not an IP address; to cure: write one like 192.0.2.10 or 2001:db8::10`}},
		"not a CIDR":                {"cluster-cidr: 10.42.0.0", []string{`config.yaml:1: cluster-cidr: "10.42.0.0" is not a CIDR; to cure: write ADDRESS/BITS, for example 10.42.0.0/16`}},
		"not a mode":                {"write-kubeconfig-mode: rw", []string{`config.yaml:1: write-kubeconfig-mode: "rw" is not a file mode; to cure: write octal digits up to 0777, for example 0600`}},
		"not a range":               {"service-node-port-range: 5-1", []string{`config.yaml:1: service-node-port-range: "5-1" is not a port range; to cure: write FIRST-LAST, for example 30000-32767`}},
		"not one of the words":      {"snapshotter: overlay", []string{`config.yaml:1: snapshotter: "overlay" is not one of overlayfs, native; to cure: did you mean "overlayfs"?`}},
		"empty entry":               {"tls-san: a,,b", []string{"config.yaml:1: tls-san has an empty entry; to cure: remove it"}},
		"plus on a single value":    {"token+: x", []string{"config.yaml:1: token+ adds to a list, but token takes one value; to cure: write `token: VALUE`"}},
		"config in a file":          {"config: /x", []string{"config.yaml:1: a config file cannot name the config file; to cure: remove it; use --config or SKERRY_CONFIG_FILE"}},
		"not a mapping":             {"- a\n- b", []string{"config.yaml:1: is a list, not settings; to cure: write one `name: value` per line"}},
		"a scalar document":         {"hello", []string{"config.yaml:1: is a single value, not settings; to cure: write one `name: value` per line"}},
		"tab":                       {"tls-san:\n\t- a", []string{"config.yaml:2: not valid YAML: found character that cannot start any token; to cure: indent with spaces: this line has a tab"}},
		"syntax":                    {"debug: true\nnode-name: [a", []string{"config.yaml:2: not valid YAML: did not find expected ',' or ']'; to cure: write one `name: value` per line, and quote values with special characters"}},
		"two documents":             {"debug: true\n---\ndebug: false", []string{"config.yaml:2: not valid YAML: a second document begins here; to cure: write one `name: value` per line, and quote values with special characters"}},
		"all at once": {"tokn: x\ndebug: maybe\nlb-server-port: 70000", []string{
			`config.yaml:1: unknown key "tokn"; to cure: did you mean "token"?`,
			`config.yaml:2: debug: "maybe" is neither true nor false; to cure: write true or false`,
			`config.yaml:3: lb-server-port 70000 is not a port; to cure: write a number from 1 to 65535`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, newHost(t, map[string]string{"config.yaml": c.yaml}).problems(), c.want)
		})
	}
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	h := newHost(t, nil)
	h.args = []string{"--config", h.path("nope.yaml")}
	same(t, h.problems(), []string{"nope.yaml: cannot be read: no such file or directory; to cure: create it, or name another"})
	if err := os.Mkdir(h.path("dir.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.args = []string{"--config", h.path("dir.yaml")}
	same(t, h.problems(), []string{"dir.yaml: cannot be read: not a regular file; to cure: put a readable file there"})
	h = newHost(t, nil)
	h.args = []string{"--token-file", h.path("nope"), "--node-name", "-"}
	same(t, h.problems(), []string{
		"--token-file: token-file nope cannot be read: no such file or directory; to cure: write the token there, readable for root, or set token",
		`--node-name: "-" cannot be the name of a node: letters, digits, - and . only, letters or digits at both ends; to cure: set node-name, or change the host name`,
	})
	if os.Getuid() != 0 {
		h.write("config.yaml", "debug: true")
		if err := os.Chmod(h.path("config.yaml"), 0); err != nil {
			t.Fatal(err)
		}
		h.args = nil
		same(t, h.problems(), []string{"config.yaml: cannot be read: permission denied; to cure: run as root, or make it readable"})
	}
}

func TestEmptyTokenFile(t *testing.T) {
	h := newHost(t, map[string]string{"token": " \n"})
	h.args = []string{"--token-file", h.path("token")}
	same(t, h.problems(), []string{"--token-file: token-file token is empty; to cure: write the token there, or set token"})
}

func TestBadFlagsAndVariables(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		env  []string
		want []string
	}{
		"unknown flag":            {args: []string{"--tls-sans", "x"}, want: []string{"--tls-sans: unknown flag; to cure: did you mean --tls-san?"}},
		"unknown flag, none near": {args: []string{"--frobnicate=1"}, want: []string{"--frobnicate: unknown flag; to cure: remove it; --help lists the flags"}},
		"argument":                {args: []string{"start"}, want: []string{`unexpected argument "start"; to cure: settings are given as --NAME VALUE`}},
		"no value":                {args: []string{"--node-ip"}, want: []string{"--node-ip: needs a value; to cure: write --node-ip VALUE"}},
		"bad value":               {args: []string{"-d", "state"}, want: []string{`--data-dir: data-dir "state" is not an absolute path; to cure: write it from the root, for example /var/lib/skerry`}},
		"bad switch":              {args: []string{"--debug=perhaps"}, want: []string{`--debug: debug: "perhaps" is neither true nor false; to cure: write true or false`}},
		"unknown variable":        {env: []string{"SKERRY_TOKN=x"}, want: []string{"$SKERRY_TOKN: unknown variable; to cure: did you mean SKERRY_TOKEN?"}},
		"bad variable":            {env: []string{"SKERRY_DEBUG=x"}, want: []string{`$SKERRY_DEBUG: debug: "x" is neither true nor false; to cure: write true or false`}},
		"installer and cluster variables are not ours": {
			env:  []string{"INSTALL_SKERRY_VERSION=1", "SKERRY_PORT=tcp://x", "SKERRY_PORT_443_TCP=x", "SKERRY_SERVICE_HOST=x"},
			args: []string{"--node-name=-"},
			want: []string{`--node-name: "-" cannot be the name of a node: letters, digits, - and . only, letters or digits at both ends; to cure: set node-name, or change the host name`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nil)
			h.args, h.src.Environ = c.args, append(h.src.Environ, c.env...)
			same(t, h.problems(), c.want)
		})
	}
}

func TestContradictions(t *testing.T) {
	for name, c := range map[string]struct {
		yaml string
		want string // part of the only problem
	}{
		"pods over services":         {"cluster-cidr: 10.43.0.0/17", "cluster-cidr 10.43.0.0/17 overlaps service-cidr 10.43.0.0/16"},
		"node in the pod range":      {"node-ip: 10.42.0.9", "node-ip 10.42.0.9 lies in cluster-cidr 10.42.0.0/16"},
		"advertised in services":     {"advertise-address: 10.43.0.9", "advertise-address 10.43.0.9 lies in service-cidr"},
		"dns outside":                {"cluster-dns: 10.44.0.10", "cluster-dns 10.44.0.10 is not an address of service-cidr"},
		"dns on the API's address":   {"cluster-dns: 10.43.0.1", "cluster-dns 10.43.0.1 is taken"},
		"host bits":                  {"cluster-cidr: 10.42.1.0/16", "has address bits behind its mask; to cure: write 10.42.0.0/16"},
		"pod range too small":        {"cluster-cidr: 10.42.0.0/25", "is too small; to cure: use a /24"},
		"pod range too large":        {"cluster-cidr: 64.0.0.0/7", "is too large for Kubernetes; to cure: use a /8"},
		"service range too small":    {"service-cidr: 10.43.0.0/30", "is too small; to cure: use a /28"},
		"service range too large":    {"service-cidr: 64.0.0.0/8", "is too large for Kubernetes; to cure: use a /12"},
		"two of one family":          {"cluster-cidr: [10.41.0.0/16, 10.42.0.0/16]", "cluster-cidr has 2 of one IP family"},
		"families differ":            {"service-cidr: fd00::/112", "different IP families"},
		"ports equal":                {"lb-server-port: 6443", "lb-server-port and https-listen-port are both 6443"},
		"port of the kubelet":        {"https-listen-port: 10250", "is the port of the kubelet"},
		"port in the NodePort range": {"https-listen-port: 30443", "lies in service-node-port-range"},
		"NodePorts over the kubelet": {"service-node-port-range: 10000-10255", "holds port 10248 of the kubelet"},
		"port zero":                  {"https-listen-port: 0", "https-listen-port 0 is not a port"},
		"label":                      {"node-label: [disk ssd]", `"disk ssd" is not a label`},
		"label not for nodes":        {"node-label: [node-role.kubernetes.io/worker=true]", "may not give itself the label node-role.kubernetes.io/worker; to cure: set it when the node is there: kubectl label node pi4"},
		"taint effect":               {"node-taint: [a=b:Never]", `"a=b:Never" is not a taint`},
		"taint without effect":       {"node-taint: [a=b]", `"a=b" is not a taint`},
		"san with a port":            {"tls-san: 'a.example:6443'", "neither a DNS name nor an IP address"},
		"relative data-dir":          {"data-dir: state", "not an absolute path"},
		"data-dir of the system":     {"data-dir: /etc/", "belongs to the system"},
		"storage of the system":      {"default-local-storage-path: /srv/", "belongs to the system"},
		"relative storage":           {"default-local-storage-path: volumes", "not an absolute path"},
		"token twice":                {"token: a\ntoken-file: /b", "token and token-file are both set"},
		"argument without value":     {"kubelet-arg: [v]", `kubelet-arg: "v" is not FLAG=VALUE`},
		"argument of the API server": {"kube-apiserver-arg: ['--=x']", `is not FLAG=VALUE`},
		"node name":                  {"node-name: my_host", `"my_host" cannot be the name of a node`},
		"loopback as node-ip":        {"node-ip: 127.0.0.1", "no address that another host could reach"},
		"runtime endpoint":           {"container-runtime-endpoint: tcp://x", "is not the path of a socket"},
		"cluster domain":             {"cluster-domain: a_b", "is not a DNS domain"},
		"kubeconfig":                 {"write-kubeconfig: k.yaml", "not an absolute path"},
		"certificates too short":     {"node-certificate-lifetime: 5s", "may be 30s to 87600h0m0s"},
		"certificates too long":      {"node-certificate-lifetime: 99999h", "may be 30s to 87600h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			got := newHost(t, map[string]string{"config.yaml": c.yaml}).problems()
			if len(got) != 1 || !strings.Contains(got[0], c.want) || !strings.Contains(got[0], "config.yaml:") {
				t.Errorf("got:\n%s\nwant one with %q", strings.Join(got, "\n"), c.want)
			}
		})
	}
}

func TestHostNameThatIsNoNodeName(t *testing.T) {
	h := newHost(t, nil)
	h.src.Hostname = func() (string, error) { return "my_host", nil }
	if got := h.problems(); len(got) != 1 || !strings.Contains(got[0], "set node-name") {
		t.Errorf("%q", got)
	}
	h.src.Hostname = func() (string, error) { return "", errors.New("no uname") }
	if got := h.problems(); len(got) != 1 || !strings.Contains(got[0], "cannot be read: no uname") {
		t.Errorf("%q", got)
	}
}

func TestAgent(t *testing.T) {
	h := newHost(t, nil)
	for name, c := range map[string]struct {
		args []string
		want []string // beginnings
	}{
		"nothing given":         {nil, []string{"--server: an agent needs the server", "--token: an agent needs the token"}},
		"http":                  {[]string{"--server", "http://x", "--token", "t"}, []string{`--server: server "http://x" is not the address`}},
		"a port taken":          {[]string{"-s", "https://x", "-t", "t", "--lb-server-port", "10250"}, []string{"--lb-server-port: lb-server-port 10250 is the port of the kubelet"}},
		"a path":                {[]string{"-s", "https://x/y", "-t", "t"}, []string{`--server: server "https://x/y" is not`}},
		"a broken URL":          {[]string{"-s", "https://[x", "-t", "t"}, []string{`--server: server "https://[x" is not`}},
		"the server's variable": {[]string{"-s", "https://x", "-t", "t"}, []string{"$SKERRY_TLS_SAN: unknown variable; to cure: it is a setting of `skerry server`; unset it here"}},
		"the server's key":      {[]string{"-s", "https://x", "-t", "t", "--tls-san", "x"}, []string{"--tls-san: unknown flag; to cure: it is a flag of `skerry server`"}},
	} {
		t.Run(name, func(t *testing.T) {
			src := h.src
			if name == "the server's variable" {
				src.Environ = append(slices.Clone(src.Environ), "SKERRY_TLS_SAN=x")
			}
			_, err := config.Load[config.Agent](src, c.args)
			got := messages(t, err, h.dir)
			ok := len(got) == len(c.want)
			for i := range got {
				ok = ok && strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("got:\n%s", strings.Join(got, "\n"))
			}
		})
	}
	if _, err := config.Load[config.Agent](h.src, []string{"-s", "https://10.0.0.1:6443", "-t", "t"}); err != nil {
		t.Errorf("unexpected: %v", err)
	}
}

func TestServersOfACluster(t *testing.T) {
	h := newHost(t, nil)
	for name, c := range map[string]struct {
		args []string
		want []string // beginnings
	}{
		"begun and joined":     {[]string{"-s", "https://x", "-t", "t", "--cluster-init"}, []string{"--server: server and cluster-init are both set"}},
		"joined without token": {[]string{"-s", "https://x"}, []string{"--token: a further server needs the server token"}},
		"no URL":               {[]string{"-s", "x:6443", "-t", "t"}, []string{`--server: server "x:6443" is not the address`}},
		"reset and joined":     {[]string{"-s", "https://x", "-t", "t", "--cluster-reset"}, []string{"--cluster-reset: cluster-reset and server are both set"}},
		"two datastores":       {[]string{"--cluster-init", "--datastore-endpoint", "https://x:2379"}, []string{"--cluster-init: cluster-init and datastore-endpoint"}},
		"two ways to join":     {[]string{"-s", "https://x", "-t", "t", "--datastore-endpoint", "https://x:2379"}, []string{"--server: server and datastore-endpoint are both set"}},
		"reset of another's":   {[]string{"--cluster-reset", "--datastore-endpoint", "https://x:2379"}, []string{"--cluster-reset: cluster-reset is for etcd inside"}},
		"a further server":     {[]string{"-s", "https://x:6443", "-t", "t", "--disable-agent"}, nil},
		"a first server":       {[]string{"--cluster-init"}, nil},
		"what is left of one":  {[]string{"--cluster-init", "--cluster-reset"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load[config.Server](h.src, c.args)
			var got []string
			if err != nil {
				got = messages(t, err, h.dir)
			}
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("got:\n%s", strings.Join(got, "\n"))
			}
		})
	}
}
