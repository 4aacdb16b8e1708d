package tools

import (
	"context"
	"syscall"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/tools/target"
	"github.com/skerry-io/skerry/internal/fault"
)

// Crictl becomes the crictl program that lies beside this one: upstream has it only as a program. It returns only
// when that is not possible.
func Crictl(_ context.Context, env command.Env, args []string) error {
	self, err := env.Executable()
	if err != nil {
		return fault.New("find this program's own file").Because(err)
	}
	path, err := target.Crictl(self)
	if err != nil {
		return err
	}
	environ := target.CrictlEnviron(env.Environ, env.Getenv)
	err = syscall.Exec(path, append([]string{"crictl"}, args...), environ)
	return fault.New("run %s", path).Because(err).Fix("install Skerry again")
}
