package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/wire"
)

// answer is what `secrets-encrypt status -o json` prints; its names are part of the interface.
type answer struct {
	wire.SecretsStatus
	Well bool `json:"well"` // the exit code is 0
}

// Status prints how Secrets are stored. Its error is the exit code alone when they are not all as the setting says.
func Status(ctx context.Context, env command.Env, flags command.SecretsStatus, _ []string) error {
	connection, err := cluster.Connect(env, flags.Access)
	if err != nil {
		return err
	}
	var a answer
	q := cluster.Request{Method: http.MethodGet, Path: wire.PathSecrets, Doing: "ask how Secrets are stored"}
	if err := cluster.Ask(ctx, connection.Config, q, func(body io.Reader) error {
		return json.NewDecoder(body).Decode(&a.SecretsStatus)
	}); err != nil {
		return err
	}
	a.Well = well(a.SecretsStatus)
	if flags.Output == "json" {
		err = cluster.JSON(env.Out, a)
	} else {
		err = text(env.Out, a.SecretsStatus)
	}
	if err == nil && !a.Well {
		return command.Quiet(command.ExitFailure)
	}
	return err
}

// well says that every Secret is as the setting wants it, on all servers.
func well(s wire.SecretsStatus) bool {
	odd := func(o wire.SecretsServer) bool { return !o.Same }
	return s.Trouble == "" && len(others(s)) == 0 && !slices.ContainsFunc(s.Servers, odd)
}

// wanted is what new Secrets are under.
func wanted(s wire.SecretsStatus) string {
	if !s.Enabled || len(s.Keys) == 0 {
		return wire.SecretsPlain
	}
	return s.Keys[0]
}

// others are the names of all that Secrets are under besides.
func others(s wire.SecretsStatus) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.Stored)), func(name string) bool { return name == wanted(s) })
}

func text(out io.Writer, s wire.SecretsStatus) error {
	if s.Provider == "" {
		_, err := fmt.Fprintln(out, "the API server encrypts by a file of your own: encryption-provider-config in kube-apiserver-arg")
		return err
	}
	enabled := "no"
	if s.Enabled {
		enabled = "yes, " + s.Provider
	}
	lines := [][2]string{{"encryption", enabled}, {"keys", strings.Join(s.Keys, ", ")}, {"stage", s.Stage}, {"at work", s.Work}, {"trouble", s.Trouble}}
	for _, line := range lines {
		if line[1] == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "%-11s %s\n", line[0]+":", line[1]); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	rows := [][]string{{"SECRETS", "UNDER", "AS WANTED"}, {strconv.Itoa(s.Stored[wanted(s)]), wanted(s), "yes"}}
	for _, name := range others(s) {
		rows = append(rows, []string{strconv.Itoa(s.Stored[name]), name, "not yet"})
	}
	if err := cluster.Table(out, rows...); err != nil || len(s.Servers) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	rows = [][]string{{"OTHER SERVER", "KEYS"}}
	for _, o := range s.Servers {
		says := o.Trouble
		switch {
		case o.Same:
			says = "the same"
		case says == "":
			says = "others"
		}
		rows = append(rows, []string{o.URL, says})
	}
	return cluster.Table(out, rows...)
}
