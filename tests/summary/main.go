package main

import (
	"fmt"
	"os"
)

func main() { os.Exit(run()) }

func run() int {
	total, err := Read(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		return 1
	}
	fmt.Println(total)
	if total.Failed > 0 || total.Passed == 0 {
		return 1
	}
	return 0
}
