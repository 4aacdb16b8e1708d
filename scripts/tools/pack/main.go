package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"github.com/skerry-io/skerry/internal/payload"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: pack LAUNCHER TREE OUTPUT")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(launcher, tree, output string) error {
	scratch := output + ".tmp"
	if err := write(launcher, tree, scratch); err != nil {
		os.Remove(scratch)
		return err
	}
	return os.Rename(scratch, output)
}

func write(launcher, tree, output string) (err error) {
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
	if err := payload.Write(buffered, tree); err != nil {
		return err
	}
	return buffered.Flush()
}
