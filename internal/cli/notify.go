package cli

import (
	"net"
	"os"
)

// takeNotifySocket takes systemd's socket out of the environment, as the Kubernetes programs inside would each report
// for the whole process, and gives a function that reports. Without systemd it does nothing.
func takeNotifySocket(env Env) func(state string) {
	path := env.Getenv("NOTIFY_SOCKET")
	if path == "" || os.Unsetenv("NOTIFY_SOCKET") != nil {
		return func(string) {}
	}
	return func(state string) {
		conn, err := net.Dial("unixgram", path)
		if err != nil {
			return // nobody listens any more
		}
		defer conn.Close()
		_, _ = conn.Write([]byte(state))
	}
}
