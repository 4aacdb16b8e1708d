package hygiene

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "github.com/skerry-io/skerry"
)

// source is one Go file.
type source struct {
	path string // from the root of the tree, with slashes
	fset *token.FileSet
	ast  *ast.File
	text string
}

func (s source) dir() string  { return path.Dir(s.path) }
func (s source) test() bool   { return strings.HasSuffix(s.path, "_test.go") || under(s.path, "tests") }
func (s source) inMain() bool { return s.ast.Name.Name == "main" }

// at is a finding about a place in the file.
func (s source) at(node ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.path, s.fset.Position(node.Pos()).Line) + fmt.Sprintf(format, args...)
}

// lines is how many lines a piece of the file has.
func (s source) lines(node ast.Node) int {
	return s.fset.Position(node.End()).Line - s.fset.Position(node.Pos()).Line + 1
}

// imports are the imported paths by the name they go by in the file.
func (s source) imports() map[string]string {
	names := map[string]string{}
	for _, spec := range s.ast.Imports {
		whole := strings.Trim(spec.Path.Value, `"`)
		name := path.Base(whole)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = whole
	}
	return names
}

func parse(file, text string) (source, error) {
	s := source{path: file, fset: token.NewFileSet(), text: text}
	var err error
	s.ast, err = parser.ParseFile(s.fset, file, text, parser.ParseComments|parser.SkipObjectResolution)
	return s, err
}

// tree is everything the project wrote.
type tree struct {
	code  []source
	texts map[string]string // every text file, by path
}

func load(t *testing.T) tree {
	t.Helper()
	all := tree{texts: map[string]string{}}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(file, root+string(filepath.Separator)))
		if entry.IsDir() && made(name) {
			return filepath.SkipDir
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all.texts[name] = string(text)
		if !strings.HasSuffix(name, ".go") || strings.Contains(name, "/testdata/") {
			return nil
		}
		s, err := parse(name, string(text))
		all.code = append(all.code, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.code) < 100 {
		t.Fatalf("found only %d Go files below %s", len(all.code), root)
	}
	return all
}

// made are the folders that no person writes; those with a leading dot but .ci are tools' own.
func made(dir string) bool {
	return dir == "bin" || dir == "build" || dir == "dist" || strings.HasPrefix(dir, ".") && dir != ".ci" && dir != root
}

// under says that file is dir or lies in it.
func under(file, dir string) bool { return file == dir || strings.HasPrefix(file, dir+"/") }
