package cli

import (
	"net"
	"os"
)

// notifySocket is the path of systemd's socket, empty without systemd.
type notifySocket string

// takeNotifySocket takes the socket out of the environment, as the Kubernetes programs inside would each report for the
// whole process.
func takeNotifySocket(env Env) notifySocket {
	path := env.Getenv("NOTIFY_SOCKET")
	if path == "" || os.Unsetenv("NOTIFY_SOCKET") != nil {
		return ""
	}
	return notifySocket(path)
}

// tell reports a state; without systemd it does nothing.
func (s notifySocket) tell(state string) {
	if s == "" {
		return
	}
	conn, err := net.Dial("unixgram", string(s))
	if err != nil {
		return // nobody listens any more
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
