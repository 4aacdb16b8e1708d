package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/host"
	skerrylog "github.com/skerry-io/skerry/internal/log"
)

// runReset ends the pods and undoes what the ledger lists.
func runReset(ctx context.Context, env Env, cfg config.Reset) error {
	what := "This ends all pods and removes all data of Skerry on this host."
	if cfg.OnlyHost {
		what = "This ends all pods of Skerry on this host; data stays."
	}
	if err := env.Confirm(cfg.Yes, what); err != nil {
		return err
	}
	scope := host.All
	if cfg.OnlyHost {
		scope = host.Live
	}
	return undo(ctx, env, cfg.Paths(), scope)
}

// undo goes through the ledger, tells what was done and what was left alone, and forgets the ledger when all is undone.
func undo(ctx context.Context, env Env, paths config.Paths, scope host.Scope) error {
	if _, err := os.Stat(paths.Ledger()); errors.Is(err, fs.ErrNotExist) {
		_, err := fmt.Fprintln(env.Out, "there is nothing to undo: no ledger in "+paths.DataDir())
		return err
	}
	ledger, err := host.Open(paths.Ledger(), skerrylog.New(io.Discard, false))
	if err != nil {
		return err
	}
	report, undoErr := ledger.Undo(ctx, scope)
	for _, e := range report.Undone {
		if _, err := fmt.Fprintln(env.Out, "undone:", e); err != nil {
			return err
		}
	}
	for _, note := range report.Left {
		if _, err := fmt.Fprintf(env.Out, "left:   %s (%s)\n", note.Entry, note.Why); err != nil {
			return err
		}
	}
	if undoErr != nil || scope != host.All {
		return errors.Join(undoErr, ledger.Close())
	}
	return ledger.Remove()
}
