package command

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/skerry-io/skerry/internal/version"
)

type versionFlags struct {
	Output string `key:"output" short:"o" env:"-" def:"text" oneof:"text,json" as:"format" help:"form of the answer"`
}

// versions is what `version -o json` prints; its names are part of the interface.
type versions struct {
	Version    string      `json:"version"`
	Commit     string      `json:"commit"`
	Go         string      `json:"go"`
	Platform   string      `json:"platform"`
	Kubernetes string      `json:"kubernetes"`
	Components []component `json:"components"`
}

type component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func printVersion(_ context.Context, env Env, flags versionFlags) error {
	v := versions{
		Version:    version.Number(),
		Commit:     version.Commit(),
		Go:         runtime.Version(),
		Platform:   runtime.GOOS + "/" + runtime.GOARCH,
		Kubernetes: version.Kubernetes,
		Components: components(),
	}
	if flags.Output == "json" {
		encoder := json.NewEncoder(env.Out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
	fmt.Fprintf(env.Out, "%s version %s (%s)\ngo version %s %s\nkubernetes version %s\n", Program, v.Version, v.Commit, v.Go, v.Platform, v.Kubernetes)
	for _, c := range v.Components {
		if _, err := fmt.Fprintf(env.Out, "%s version %s\n", c.Name, c.Version); err != nil {
			return err
		}
	}
	return nil
}

// modules gives the parts worth naming, by the modules they come from.
func modules() []struct{ name, path string } {
	return []struct{ name, path string }{
		{"containerd", "github.com/containerd/containerd/v2"},
		{"kine", "github.com/k3s-io/kine"},
		{"sqlite", "modernc.org/sqlite"},
	}
}

// components reads the versions of the linked modules out of the program itself, so that no list can be stale.
func components() []component {
	linked := make([]component, 0)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return linked
	}
	for _, want := range modules() {
		for _, module := range info.Deps {
			if module.Path == want.path {
				linked = append(linked, component{Name: want.name, Version: module.Version})
			}
		}
	}
	return linked
}
