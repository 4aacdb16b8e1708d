package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/skerry-io/skerry/internal/payload"
)

const usage = `usage: pack [-small] ARCH LAUNCHER TREE OUTPUT
  -small  let the zstd program compress as far as it can: a tenth smaller, ten times slower`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	compress, err := payload.Quickly()
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "-small" {
		compress, args = zstd, args[1:]
	}
	if len(args) != 4 {
		return errors.New(usage)
	}
	// Few ever call crictl, and it is large.
	how := payload.Packing{Compress: compress, Processor: args[0], Later: []string{"bin/crictl"}}
	return pack(args[1], args[2], args[3], how)
}

// zstd compresses with the program of that name.
func zstd(piece []byte) ([]byte, error) {
	command := exec.Command("zstd", "-q", "-19", "--no-check", "--stdout")
	command.Stdin, command.Stderr = bytes.NewReader(piece), os.Stderr
	return command.Output()
}

func pack(launcher, tree, output string, how payload.Packing) error {
	scratch := output + ".tmp"
	if err := write(launcher, tree, scratch, how); err != nil {
		os.Remove(scratch)
		return err
	}
	return os.Rename(scratch, output)
}

func write(launcher, tree, output string, how payload.Packing) (err error) {
	in, err := os.Open(launcher)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(output, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	defer func() {
		if e := out.Close(); err == nil {
			err = e
		}
	}()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	if err := how.Write(buffered, tree); err != nil {
		return err
	}
	return buffered.Flush()
}
