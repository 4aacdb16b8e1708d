package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// settings is what the flags say.
type settings struct {
	listen string
	drain  time.Duration // how long it still answers new connections after SIGTERM
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var s settings
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&s.listen, "listen", ":8080", "address to answer on")
	flags.DurationVar(&s.drain, "drain", 3*time.Second, "how long to go on answering after SIGTERM")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return serve(ctx, s)
}

// serve answers until ctx ends and the drain time after it has passed.
func serve(ctx context.Context, s settings) error {
	listener, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: pages(), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Println("demo", version(), "answers on", listener.Addr())

	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	return drain(server, s.drain)
}

// drain closes connections one answer at a time, so that clients move to another pod, and ends when the time is over.
func drain(server *http.Server, wait time.Duration) error {
	server.SetKeepAlivesEnabled(false)
	done, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	<-done.Done()

	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return server.Shutdown(last)
}

// pages are the three things it answers.
func pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, version()) })
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello from Skerry!\npod:     %s\nversion: %s\nclient:  %s\n", pod(), version(), r.RemoteAddr)
	})
	return mux
}

// pod is the name of the pod, which is its hostname.
func pod() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// version is what the Deployment says it is, so that a rollout can be seen from outside.
func version() string {
	if v := os.Getenv("DEMO_VERSION"); v != "" {
		return v
	}
	return "1"
}
