package hygiene

import (
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/graph.md")

// service is one row of a table of services, as it stands in the source.
type service struct {
	half, name string
	needs      []string
	again      bool
	grace      string
}

// TestGraph: docs/graph.md is what the service tables say. It is read out of their source, so that neither half has to
// be linked here.
func TestGraph(t *testing.T) {
	var all []service
	for _, s := range load(t).code {
		if s.path == "server/services.go" || s.path == "agent/services.go" || s.path == "server/several.go" {
			all = append(all, servicesIn(s)...)
		}
	}
	if len(all) < 10 {
		t.Fatalf("found only %d services; are they still rows of run.Service with a literal Name?", len(all))
	}
	want := graph(t, all)
	file := filepath.Join(root, "docs", "graph.md")
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || string(have) != want {
		t.Errorf("docs/graph.md is stale (%v); run: go test ./tests/hygiene -run Graph -update", err)
	}
}

// servicesIn finds the literals that have a Name and a Run.
func servicesIn(s source) []service {
	var all []service
	ast.Inspect(s.ast, func(n ast.Node) bool {
		literal, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		fields := map[string]ast.Expr{}
		for _, element := range literal.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok {
					fields[key.Name] = pair.Value
				}
			}
		}
		if fields["Name"] == nil || fields["Run"] == nil {
			return true
		}
		row := service{half: s.dir(), name: s.textOf(fields["Name"]), again: fields["Again"] != nil, grace: "2 s"}
		if list, ok := fields["Needs"].(*ast.CompositeLit); ok {
			for _, need := range list.Elts {
				row.needs = append(row.needs, s.textOf(need))
			}
		}
		if fields["Grace"] != nil {
			row.grace = strings.ReplaceAll(s.textOf(fields["Grace"]), " * time.Second", " s")
		}
		if !slices.ContainsFunc(all, func(have service) bool { return have.name == row.name && len(have.needs) >= len(row.needs) }) {
			all = slices.DeleteFunc(all, func(have service) bool { return have.name == row.name }) // the fuller variant counts
			all = append(all, row)
		}
		return true
	})
	return all
}

// textOf is the source of an expression, without the quotes of a string.
func (s source) textOf(e ast.Expr) string {
	from, to := s.fset.Position(e.Pos()).Offset, s.fset.Position(e.End()).Offset
	return strings.Trim(s.text[from:to], `"`)
}

// graph prints the services in an order in which they can start.
func graph(t *testing.T, all []service) string {
	var b strings.Builder
	b.WriteString(`# Services and what they need

<!-- Made from the tables of services by: go test ./tests/hygiene -run Graph -update -->

The rows of ` + "`server.Services` and `agent.Services`" + `, which one group runs. A service starts as soon as all it needs is
ready; services of the same step start side by side. The stop goes the other way: a service is asked to stop when
everything that needs it is gone. "Ends the node" says what happens when the service ends on its own; "grace" is how long
its stop may take.

| step | service | half | needs | when it ends on its own | grace |
|---|---|---|---|---|---|
`)
	for step := range len(all) {
		for _, s := range all {
			if depth(t, all, s.name, 0) != step {
				continue
			}
			needs, end := strings.Join(s.needs, ", "), "ends the node"
			if needs == "" {
				needs = "-"
			}
			if s.again {
				end = "starts again"
			}
			fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s |\n", step+1, s.name, s.half, needs, end, s.grace)
		}
	}
	b.WriteString("\nWith `--container-runtime-endpoint` there is no service containerd, and images has nothing to do. With\n`--disable-agent` there are only the rows of the server.\n" +
		"With one server there are no shared, lease, node-role and members. With several, apiserver waits for shared, and what one server\n" +
		"runs for all (`onOneServer` in `server/several.go`) waits for lease, is ready at once on those that do not lead, and begins when\n" +
		"they do; see [ADR 34](adr/0034-one-lease.md).\n")
	return b.String()
}

// depth is how many services have to be ready before this one, one after another.
func depth(t *testing.T, all []service, name string, above int) int {
	if above > len(all) {
		t.Fatalf("services need each other in a circle, at %s", name)
	}
	at := slices.IndexFunc(all, func(s service) bool { return s.name == name })
	if at < 0 {
		t.Fatalf("a service needs %q, which is in no table", name)
	}
	deepest := 0
	for _, need := range all[at].needs {
		deepest = max(deepest, 1+depth(t, all, need, above+1))
	}
	return deepest
}
