package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// Env is the world of a run of the program: everything it would otherwise take from package os.
type Env struct {
	// Args is the command line, the program's name first.
	Args []string
	In   io.Reader
	Out  io.Writer
	Err  io.Writer
	// Environ is the environment, as NAME=VALUE.
	Environ []string
	// Hostname names the host.
	Hostname func() (string, error)
	// KeptName gives the name under which the node of an agent directory has joined.
	KeptName func(agentDir string) (name string, joined bool)
	// Executable is the path of the running program, links resolved.
	Executable func() (string, error)
}

// Getenv gives a variable, empty when it is not set.
func (e Env) Getenv(name string) string {
	value := ""
	for _, entry := range e.Environ {
		if text, ok := strings.CutPrefix(entry, name+"="); ok {
			value = text // the last one counts, as it does for a child process
		}
	}
	return value
}

// Sources is where settings come from in this world.
func (e Env) Sources() config.Sources {
	return config.Sources{Environ: e.Environ, Hostname: e.Hostname, KeptName: e.KeptName}
}

// program is the name the program was called by, without directory.
func (e Env) program() string {
	if len(e.Args) == 0 {
		return Program
	}
	return filepath.Base(e.Args[0])
}

// Confirm says what is about to happen and asks, unless yes says that it is wanted. Without a terminal to ask on, it
// has to be said.
func (e Env) Confirm(yes bool, what string) error {
	if yes {
		return nil
	}
	in, ok := e.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return fault.New("%s", strings.TrimSuffix(what, ".")).Fix("say so with --yes")
	}
	if _, err := fmt.Fprintf(e.Out, "%s Go on? [y/N] ", what); err != nil {
		return err
	}
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if word := strings.ToLower(strings.TrimSpace(answer)); word != "y" && word != "yes" {
		return fault.New("nothing was changed")
	}
	return nil
}
