package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"text/template"
)

const module = "github.com/containernetworking/plugins/plugins/"

// plugin is one name that the program answers to.
type plugin struct{ Name, source string }

// Package is the plugin's name as Go allows it.
func (p plugin) Package() string { return strings.ReplaceAll(p.Name, "-", "") }

func plugins() []plugin {
	return []plugin{
		{"bridge", "main/bridge"},
		{"host-local", "ipam/host-local"},
		{"loopback", "main/loopback"},
		{"portmap", "meta/portmap"},
	}
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: gencni DIRECTORY IMPORT-PATH")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "gencni:", err)
		os.Exit(1)
	}
}

// generate replaces the directory, whose import path is given, by the program's sources.
func generate(dir, importPath string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, p := range plugins() {
		if err := copyPlugin(p, filepath.Join(dir, p.Package())); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	var source bytes.Buffer
	err := mainTemplate().Execute(&source, map[string]any{"Path": importPath, "Plugins": plugins()})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "main.go"), source.Bytes(), 0o644)
}

func mainTemplate() *template.Template {
	return template.Must(template.New("main").Parse(`package main

import (
	"fmt"
	"os"
	"path/filepath"
{{range .Plugins}}
	"{{$.Path}}/{{.Package}}"{{end}}

	"github.com/skerry-io/skerry/helpers/ipam"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
{{- range .Plugins}}
	case "{{.Name}}":
		{{.Package}}.Main(){{end}}
	case "skerry-ipam":
		ipam.Main(hostlocal.Add, hostlocal.Check, hostlocal.Del)
	default:
		fmt.Fprintf(os.Stderr, "cni: no plugin is called %q; to cure: run it through one of the links beside it\n", name)
		os.Exit(1)
	}
}
`))
}

// copyPlugin writes the files of a command, as Go would build it for Linux, as a package.
func copyPlugin(p plugin, dir string) error {
	list := exec.Command("go", "list", "-f", "{{range .GoFiles}}{{$.Dir}}/{{.}}\n{{end}}", path.Join(module, p.source))
	list.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	list.Stderr = os.Stderr
	files, err := list.Output()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	renamed := 0
	for _, f := range strings.Fields(string(files)) {
		n, err := copyFile(f, filepath.Join(dir, filepath.Base(f)), p.Package())
		if err != nil {
			return err
		}
		renamed += n
	}
	if renamed != 1 {
		return errors.New("its sources have no main function")
	}
	return os.WriteFile(filepath.Join(dir, "acts.go"), []byte("package "+p.Package()+acts), 0o644)
}

// acts opens a plugin's commands to the program.
const acts = `

import "github.com/containernetworking/cni/pkg/skel"

func Add(args *skel.CmdArgs) error   { return cmdAdd(args) }
func Check(args *skel.CmdArgs) error { return cmdCheck(args) }
func Del(args *skel.CmdArgs) error   { return cmdDel(args) }
`

// copyFile writes one source file under another package name, and tells how many main functions it renamed.
func copyFile(from, to, packageName string) (renamed int, err error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, from, nil, parser.ParseComments)
	if err != nil {
		return 0, err
	}
	tree.Name.Name = packageName
	for _, d := range tree.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "main" {
			f.Name.Name = "Main"
			renamed++
		}
	}
	var source bytes.Buffer
	if err := format.Node(&source, files, tree); err != nil {
		return 0, err
	}
	return renamed, os.WriteFile(to, source.Bytes(), 0o644)
}
