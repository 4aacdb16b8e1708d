// Command skerry is a Kubernetes node in one program; internal/cli is all of it.
package main

import (
	"context"
	"os"

	"github.com/skerry-io/skerry/internal/cli"
)

func main() { os.Exit(cli.Main(context.Background(), cli.OS())) }
