package tools

import (
	"context"
	"fmt"
	"os"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // credential plugins that a kubeconfig may name
	componentcli "k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/plugin"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/cli/tools/target"
)

// Kubectl runs upstream's kubectl with the words after its name.
func Kubectl(ctx context.Context, env command.Env, args []string) error {
	kubeconfig, err := target.Kubeconfig(env.Getenv, args)
	if err != nil {
		return err
	}
	if kubeconfig != "" {
		// The variable and not a flag: `kubectl config` and plugins look at nothing else.
		if err := os.Setenv("KUBECONFIG", kubeconfig); err != nil {
			return fmt.Errorf("set KUBECONFIG: %w", err)
		}
	}
	streams := genericiooptions.IOStreams{In: env.In, Out: env.Out, ErrOut: env.Err}
	flags := genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag().WithDiscoveryBurst(300).WithDiscoveryQPS(50)
	kubectl := cmd.NewDefaultKubectlCommandWithArgs(cmd.KubectlOptions{
		PluginHandler: cmd.NewDefaultPluginHandler(plugin.ValidPluginFilenamePrefixes),
		Arguments:     append([]string{"kubectl"}, args...),
		ConfigFlags:   flags.WithWarningPrinter(streams),
		IOStreams:     streams,
	})
	kubectl.SetContext(ctx)
	kubectl.SetArgs(args)
	kubectl.SetIn(env.In)
	kubectl.SetOut(env.Out)
	kubectl.SetErr(env.Err)
	if err := componentcli.RunNoErrOutput(kubectl); err != nil {
		cmdutil.CheckErr(err) // prints in kubectl's own way and ends the process
		return command.Quiet(command.ExitFailure)
	}
	return nil
}
