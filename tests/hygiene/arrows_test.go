package hygiene

import (
	"strings"
)

// arrow says what a room may import of the project's own packages. A missing arrow is forbidden.
type arrow struct {
	room string
	may  []string
	why  string
}

// arrowTable has one row for each room; a package belongs to the longest row that it lies under.
func arrowTable() []arrow {
	return []arrow{
		{".", []string{"internal/cli"}, "main is one line; the program is a function of its inputs"},
		{"internal/cli", []string{"internal", "internal/cli", "server", "agent", "datastore", "manifests"}, "it composes the rooms, and nothing else sees both halves"},
		{"internal/cli/again", []string{"internal", "internal/cli/command"}, "it tells one end of a run from the others, and links no room for that"},
		{"internal/cli/command", []string{"internal"}, "actions are handed in, so that a test of the command line links no room"},
		{"internal/cli/progress", []string{"internal"}, "it shows states and knows no service"},
		{"internal/cli/cluster", []string{"internal", "internal/cli/command", "internal/cli/tools/target"}, "commands are clients of a cluster as kubectl is"},
		{"internal/cli/backups", []string{"internal", "internal/cli/command", "internal/cli/cluster", "internal/cli/progress", "datastore"}, "a datastore is read and filled while no server runs, too"},
		{"internal/cli/tokens", []string{"internal", "internal/cli/command", "internal/cli/cluster", "server/token"}, "the form of a token's Secret is said once"},
		{"internal/cli/nodes", []string{"internal", "internal/cli/command", "internal/cli/cluster", "server/nodes"}, "the form of a key's record is said once"},
		{"internal/cli/datastore", []string{"internal", "internal/cli/command", "internal/cli/cluster"}, "it asks the process, and links no engine for that"},
		{"internal/cli/secrets", []string{"internal", "internal/cli/command", "internal/cli/cluster"}, "it asks a server, and links no room for that"},
		{"internal/cli/users", []string{"internal", "internal/cli/command", "internal/cli/cluster"}, "a client of the cluster, no more"},
		{"internal/cli/status", []string{"internal", "internal/cli/command", "internal/cli/cluster"}, "it asks the process and the cluster, and links neither half for that"},
		{"internal/cli/images", []string{"internal", "internal/cli/command", "internal/cli/cluster", "agent/images"}, "the form of the file that remembers imports is said once"},
		{"internal/cli/tools", []string{"internal", "internal/cli/command"}, "kubectl, crictl and ctr are clients of a node, not parts of it"},
		{"server", []string{"internal", "datastore", "manifests", "tunnel"}, "it must not know the node beside it: an agent alone runs the same code"},
		{"agent", []string{"internal", "tunnel"}, "never server: what both speak is internal/wire, and all API traffic goes through the node's own endpoint"},
		{"datastore", []string{"internal/config", "internal/durable", "internal/fault", "internal/log", "internal/run"}, "an engine can be tested and replaced alone"},
		{"tunnel", []string{"internal/certs", "internal/fault", "internal/traffic", "internal/wire"}, "both ends of one protocol; which addresses go through it is said by server and agent"},
		{"manifests", nil, "data only"},
		{"internal", []string{"internal"}, "leaves know no room"},
		{"internal/fault", nil, "every package uses it"},
		{"internal/version", nil, "every package may ask for it"},
		{"internal/config", []string{"internal/fault"}, "a setting says what is wanted, not what it causes"},
		{"internal/run", []string{"internal/fault"}, "a group knows no service"},
		{"internal/wire", []string{"internal/certs", "internal/fault"}, "what server and agent say to each other, without either"},
		{"launcher", []string{"internal/fault", "internal/payload"}, "it runs before every command and must stay small"},
		{"helpers", nil, "each pod runs a copy: small programs with nothing of ours"},
		{"scripts/tools", []string{"internal/payload"}, "they make the binary, so they cannot be part of it"},
		{"tests/join", []string{"internal", "server/entry", "server/nodes", "server/pki", "server/shared", "server/supervisor", "server/token", "agent/identity"}, "both halves of a join meet nowhere else without a cluster"},
		{"tests/certtest", []string{"internal/certs", "internal/durable"}, "tests of many rooms need certificates such as the product's"},
		{"tests/crowd", []string{"internal/wire", "tunnel"}, "two hundred whole agents do not fit on one machine"},
		{"tests/upstream", []string{"datastore", "internal/config", "tests"}, "tests of others are put in front of each engine, without a cluster"},
		{"tests", []string{"tests"}, "cluster tests see what a user sees: commands, files, processes, packets"},
	}
}

// testMay is what a _test.go file may import besides what its room may.
func testMay() []string { return []string{"tests", "internal/host/nstest"} }

// roomOf gives the row of a package, nil when it has none.
func roomOf(dir string) *arrow {
	var best *arrow
	for _, a := range arrowTable() {
		if (dir == a.room || a.room != "." && under(dir, a.room)) && (best == nil || len(a.room) > len(best.room)) {
			best = &a
		}
	}
	return best
}

func arrows(s source) []string {
	from := roomOf(s.dir())
	if from == nil {
		return []string{s.path + ": the folder has no row in the arrow table; say what it may import, and why"}
	}
	may := append([]string{from.room}, from.may...)
	if strings.HasSuffix(s.path, "_test.go") {
		may = append(may, testMay()...)
	}
	var found []string
	for _, spec := range s.ast.Imports {
		to, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module+"/")
		if ours && !allowed(to, may) {
			found = append(found, s.at(spec, "%s may not import %s (%s)", from.room, to, from.why))
		}
	}
	return found
}

// allowed says that one of may, or a folder in it, is to; internal/cli has to be named, internal alone does not open it.
func allowed(to string, may []string) bool {
	for _, room := range may {
		if under(to, room) && (under(room, "internal/cli") || !under(to, "internal/cli")) {
			return true
		}
	}
	return false
}

// dependency is a module or package of others that only some packages may import, because it is heavy or because what
// it is about has one owner.
type dependency struct {
	prefix string
	may    []string
	why    string
}

func dependencies() []dependency {
	return []dependency{
		{"k8s.io/kubernetes", []string{"server/apiserver", "server/controllers", "server/scheduler", "agent/kubelet", "agent/kubeproxy"},
			"every package and every test that imports it links all of Kubernetes"},
		{"k8s.io/kubernetes/pkg/apis", []string{"server/apiserver", "server/controllers", "server/scheduler", "agent/kubelet", "agent/kubeproxy", "server/autonomy", "server/hold"},
			"the API server's own form of objects is for what decides in it; it links little"},
		{"k8s.io/kubernetes/pkg/apis/rbac", []string{"agent/podrights"}, "rules of roles are judged by the authorizer's own code; it links little"},
		{"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac", []string{"server/podrights"}, "the same"},
		{"k8s.io/kubernetes/pkg/registry/rbac/validation", []string{"server/podrights"}, "roles are resolved by the authorizer's own code; it links little"},
		{"github.com/containerd/containerd", []string{"agent/containerd", "agent/images", "agent/registries", "internal/cli/tools"}, "the runtime has one owner"},
		{"github.com/k3s-io/kine", []string{"datastore", "tests/stockkine"}, "all that is stored goes through datastore.Store"},
		{"github.com/coredns", []string{"agent/dns", "tests/coredns"}, "it keeps package variables, and its own starter would take over the process"},
		{"go.etcd.io/etcd/server", []string{"datastore/etcd"}, "a member of a cluster has one owner; all others are clients"},
		{"go.etcd.io/etcd/etcdutl", []string{"datastore/etcd"}, "a member of a cluster has one owner; all others are clients"},
		{"modernc.org/sqlite", []string{"datastore"}, "all that is stored goes through datastore.Store"},
		{"helm.sh/helm", []string{"server/helm"}, "it reads files and variables, and its waits do not end, unless it is kept from that"},
		{"oras.land", []string{"server/helm/charts"}, "images have an owner of their own"},
		{"k8s.io/kubectl", []string{"internal/cli/tools", "internal/cli/nodes"}, "it is a tool; only a drain shall be the same as its own"},
		{"github.com/urfave/cli", []string{"internal/cli"}, "commands are said once"},
		{"github.com/vishvananda/netlink", []string{"internal/host", "internal/hostcheck", "agent", "tests"}, "changes of the host go through the ledger"},
		{"github.com/sirupsen/logrus", []string{"internal/log", "tests/stockkine"}, "logs are handed in as *slog.Logger"},
		{"k8s.io/klog", []string{"internal/log"}, "logs are handed in as *slog.Logger"},
	}
}

// dependencyOf gives the longest row that an import lies under, nil when it has none.
func dependencyOf(name string) *dependency {
	var best *dependency
	for _, d := range dependencies() {
		if under(name, d.prefix) && (best == nil || len(d.prefix) > len(best.prefix)) {
			best = &d
		}
	}
	return best
}

func heavy(s source) []string {
	var found []string
	for _, spec := range s.ast.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		if d := dependencyOf(name); d != nil && !within(s.dir(), d.may) {
			found = append(found, s.at(spec, "only %s may import %s (%s)", strings.Join(d.may, ", "), name, d.why))
		}
		if under(s.dir(), "launcher") && strings.Contains(name, ".") && !under(name, module) {
			found = append(found, s.at(spec, "the launcher may not import %s: it runs before every command", name))
		}
		if under(s.dir(), "datastore") && strings.HasPrefix(name, "k8s.io/") {
			found = append(found, s.at(spec, "the datastore may not import %s: it knows etcd's protocol, not Kubernetes", name))
		}
	}
	return found
}

func within(dir string, rooms []string) bool {
	for _, room := range rooms {
		if under(dir, room) {
			return true
		}
	}
	return false
}
