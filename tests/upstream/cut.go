package upstream

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// cut gives a file without what the suite does without, with its imports led elsewhere. It notes what it took out.
func (s Suite) cut(t *testing.T, file string, used map[string]bool) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	set, parsed := parse(t, file, text)
	for i := len(parsed.Decls) - 1; i >= 0; i-- {
		f, is := parsed.Decls[i].(*ast.FuncDecl)
		if !is {
			continue
		}
		if _, out := s.Without[nameOf(f)]; out {
			used[nameOf(f)] = true
			text = without(text, set, f)
		}
	}
	set, parsed = parse(t, file, text)
	for i := len(parsed.Imports) - 1; i >= 0; i-- {
		spec := parsed.Imports[i]
		whole, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if !needed(parsed, spec, whole) {
			text = without(text, set, spec)
		} else if to, other := s.elsewhere(whole); other {
			from, end := set.Position(spec.Path.Pos()).Offset, set.Position(spec.Path.End()).Offset
			text = append(text[:from:from], append([]byte(strconv.Quote(to)), text[end:]...)...)
		}
	}
	return text
}

// elsewhere is what is imported instead of a package.
func (s Suite) elsewhere(name string) (string, bool) {
	if to, other := s.Instead[name]; other {
		return home + to, true
	}
	return "", false
}

func parse(t *testing.T, file string, text []byte) (*token.FileSet, *ast.File) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return set, parsed
}

// nameOf is a function's name, with that of its type before it.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	of := f.Recv.List[0].Type
	if pointer, is := of.(*ast.StarExpr); is {
		of = pointer.X
	}
	if name, is := of.(*ast.Ident); is {
		return name.Name + "." + f.Name.Name
	}
	return f.Name.Name
}

func without(text []byte, set *token.FileSet, node ast.Node) []byte {
	from, end := set.Position(node.Pos()).Offset, set.Position(node.End()).Offset
	return append(text[:from:from], text[end:]...)
}

// needed says whether a file still uses what it imports.
func needed(file *ast.File, spec *ast.ImportSpec, whole string) bool {
	name := path.Base(whole)
	if spec.Name != nil {
		name = spec.Name.Name
	}
	if name == "_" || name == "." || strings.HasPrefix(name, "v") && spec.Name == nil && len(name) == 2 {
		return true
	}
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, is := n.(*ast.SelectorExpr); is {
			if x, is := selector.X.(*ast.Ident); is && x.Name == name {
				found = true
			}
		}
		return !found
	})
	return found
}
