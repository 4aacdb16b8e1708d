package install

import (
	"fmt"
	"strings"
)

// envFile holds the service's variables.
const envFile = "/etc/skerry/skerry.env"

// logFile is where a service of OpenRC writes; systemd has its journal.
const logFile = "/var/log/skerry.log"

// unit is the text of the systemd unit. Pods outlive the service, so only its main process is ended. Exit code 2 says
// that the settings are wrong: starting again is of no use.
func unit(kind string, command []string) string {
	return fmt.Sprintf(`[Unit]
Description=Skerry, a Kubernetes node
Documentation=https://github.com/skerry-io/skerry
Wants=network-online.target
After=network-online.target

[Service]
Type=%s
EnvironmentFile=-%s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=%s
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
RestartPreventExitStatus=2

[Install]
WantedBy=multi-user.target
`, kind, envFile, unitLine(command))
}

// script is the text of the OpenRC script.
func script(command []string) string {
	args := escaper().Replace(CommandLine(command[1:])) // supervise-daemon takes it apart again
	return fmt.Sprintf(`#!/sbin/openrc-run
description="Skerry, a Kubernetes node"
supervisor=supervise-daemon
command=%s
command_args="%s"
pidfile=/run/${RC_SVCNAME}.pid
respawn_delay=5
respawn_max=0
output_log=%s
error_log=%[3]s
rc_ulimit="-n 1048576"

depend() {
	after net firewall
	use dns logger
	want cgroups
}

start_pre() {
	modprobe -q br_netfilter
	modprobe -q overlay
	return 0
}

if [ -f %[4]s ]; then
	set -o allexport
	. %[4]s
	set +o allexport
fi
`, CommandLine(command[:1]), args, logFile, envFile)
}

// byHand is the command that does what a service would.
func byHand(command []string, environ string) string {
	line := CommandLine(command)
	if strings.TrimSpace(environ) == "" {
		return line
	}
	return "( set -a; . " + envFile + "; exec " + line + " )"
}
