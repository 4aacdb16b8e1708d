package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/cmd/ctr/app"
	"github.com/urfave/cli/v2"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/tools/target"
	"github.com/skerry-io/skerry/internal/fault"
)

// Ctr runs containerd's ctr with the words after its name, at the runtime inside and in the namespace of Kubernetes.
func Ctr(ctx context.Context, env command.Env, args []string) error {
	ctr := app.New()
	ctr.Reader, ctr.Writer, ctr.ErrWriter = env.In, env.Out, env.Err
	ctr.ExitErrHandler = func(*cli.Context, error) {} // only main ends the process
	for _, f := range ctr.Flags {
		text, ok := f.(*cli.StringFlag)
		if !ok {
			continue
		}
		switch text.Name { // a flag or a variable of the user's still wins over these
		case "address":
			text.Value = target.ContainerdSocket
		case "namespace":
			text.Value = target.KubernetesNamespace
		}
	}
	err := ctr.RunContext(ctx, append([]string{"ctr"}, args...))
	var coded cli.ExitCoder
	if errors.As(err, &coded) && coded.Error() == "" {
		return command.Quiet(coded.ExitCode()) // the exit code of a program run in a container
	}
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), "cannot access socket") { // upstream hides the cause in text
		return fault.New("ctr").Because(err).Fix("start `skerry server` here, or name another socket with --address")
	}
	return fmt.Errorf("ctr: %w", err)
}
