package hygiene

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// stateExceptions are package-level variables that are allowed. Errors, regular expressions, embedded files and
// assertions that a type has an interface's methods need no entry.
func stateExceptions() exceptions {
	return exceptions{
		"internal/version/version.go:number": "the linker stamps it",
		"internal/version/version.go:commit": "the linker stamps it",
		"internal/log/etcd.go:etcdClient":    "it is Kubernetes' own, under another name",
	}
}

// state finds package-level variables: whoever reads one cannot be tested alone, or run twice.
func state(s source) []string {
	if s.test() {
		return nil
	}
	var found []string
	for _, decl := range s.ast.Decls {
		vars, ok := decl.(*ast.GenDecl)
		if !ok || vars.Tok != token.VAR || embedded(vars.Doc) {
			continue
		}
		for _, spec := range vars.Specs {
			found = append(found, s.variables(spec.(*ast.ValueSpec))...)
		}
	}
	return found
}

func (s source) variables(spec *ast.ValueSpec) []string {
	if embedded(spec.Doc) {
		return nil
	}
	var found []string
	for i, name := range spec.Names {
		immutable := i < len(spec.Values) && s.calls(spec.Values[i], "errors.New", "fmt.Errorf", "regexp.MustCompile")
		if name.Name != "_" && !immutable && !stateExceptions().covers(s.path+":"+name.Name) {
			found = append(found, s.at(name, "the package-level variable %s is state; hand it in, or make it a constant or a function", name.Name))
		}
	}
	return found
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") })
}

// calls says that an expression is a call of one of the functions, each package.Name.
func (s source) calls(e ast.Expr, names ...string) bool {
	call, ok := e.(*ast.CallExpr)
	return ok && slices.Contains(names, s.selected(call.Fun))
}

// selected names a selector of an imported package, "" for anything else.
func (s source) selected(e ast.Expr) string {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	from, ok := selector.X.(*ast.Ident)
	if !ok {
		return ""
	}
	if _, imported := s.imports()[from.Name]; !imported {
		return ""
	}
	return from.Name + "." + selector.Sel.Name
}

func inits(s source) []string {
	var found []string
	for _, f := range s.functions() {
		if f.Name.Name == "init" && f.Recv == nil {
			found = append(found, s.at(f, "init runs before anyone can say what it should work with; call it from where it is needed"))
		}
	}
	return found
}

func (s source) functions() []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, decl := range s.ast.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			all = append(all, f)
		}
	}
	return all
}

// exits finds what ends the process outside main and TestMain.
func exits(s source) []string {
	var found []string
	for _, f := range s.functions() {
		if s.inMain() && f.Name.Name == "main" || f.Name.Name == "TestMain" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := s.selected(call.Fun)
			_, method, _ := strings.Cut(name, ".")
			builtin, isName := call.Fun.(*ast.Ident)
			switch {
			case name == "os.Exit", strings.HasPrefix(method, "Fatal"), strings.HasPrefix(method, "Panic"):
				found = append(found, s.at(call, "%s ends the process; return an error", name))
			case isName && builtin.Name == "panic" && !strings.HasSuffix(s.path, "_test.go"):
				found = append(found, s.at(call, "panic ends the process; return an error"))
			}
			return true
		})
	}
	return found
}

// environmentExceptions may read or change arguments and environment.
func environmentExceptions() exceptions {
	return exceptions{
		"internal/cli":         "OS hands them to everything else",
		"internal/config":      "variables are one of the four sources of settings",
		"internal/host/nstest": "a test that starts itself again",
		"launcher":             "it hands them to the real program",
		"helpers":              "programs of their own",
		"scripts/tools":        "programs of their own",
	}
}

func environment(s source) []string {
	if s.test() || environmentExceptions().covers(s.path) {
		return nil
	}
	return s.uses("is read in internal/cli and handed in", "os.Args", "os.Getenv", "os.LookupEnv", "os.Environ", "os.Setenv", "os.Unsetenv", "os.Clearenv")
}

func sleeps(s source) []string {
	if s.test() {
		return nil
	}
	return s.uses("cannot be stopped; select on a timer and the context", "time.Sleep")
}

// uses finds names of imported packages wherever they stand.
func (s source) uses(why string, names ...string) []string {
	var found []string
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if e, ok := n.(ast.Expr); ok {
			if name := s.selected(e); slices.Contains(names, name) {
				found = append(found, s.at(e, "%s %s", name, why))
			}
		}
		return true
	})
	return found
}

// documented wants a comment on everything that another package can use.
func documented(s source) []string {
	if s.test() || s.inMain() {
		return nil
	}
	var found []string
	for _, f := range s.functions() {
		if f.Name.IsExported() && f.Doc == nil && exportedReceiver(f) {
			found = append(found, s.at(f, "%s has no comment; say what it means, its units and errors", f.Name.Name))
		}
	}
	for _, decl := range s.ast.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Doc != nil {
			continue
		}
		for _, spec := range group.Specs {
			if t, ok := spec.(*ast.TypeSpec); ok && t.Name.IsExported() && t.Doc == nil {
				found = append(found, s.at(t, "%s has no comment; say what it means", t.Name.Name))
			}
		}
	}
	return found
}

// exportedReceiver says that a function is no method, or one of an exported type.
func exportedReceiver(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	e := f.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if generic, ok := e.(*ast.IndexExpr); ok {
		e = generic.X
	}
	name, ok := e.(*ast.Ident)
	return ok && name.IsExported()
}
