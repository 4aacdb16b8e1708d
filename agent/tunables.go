package agent

import (
	"errors"
	"strconv"

	utilsysctl "k8s.io/component-helpers/node/util/sysctl"

	"github.com/skerry-io/skerry/internal/host"
)

// kubeletTunables are the kernel settings that the kubelet makes itself (setupKernelTunables in pkg/kubelet/cm). Made
// before it starts, they are in the ledger.
func kubeletTunables() []host.Change {
	var changes []host.Change
	for _, t := range []struct {
		key  string
		want int
	}{
		{utilsysctl.VMOvercommitMemory, utilsysctl.VMOvercommitMemoryAlways},
		{utilsysctl.VMPanicOnOOM, utilsysctl.VMPanicOnOOMInvokeOOMKiller},
		{utilsysctl.KernelPanic, utilsysctl.KernelPanicRebootTimeout},
		{utilsysctl.KernelPanicOnOops, utilsysctl.KernelPanicOnOopsAlways},
		{utilsysctl.RootMaxKeys, utilsysctl.RootMaxKeysSetting},
		{utilsysctl.RootMaxBytes, utilsysctl.RootMaxBytesSetting},
	} {
		changes = append(changes, host.Sysctl{Key: t.key, Want: strconv.Itoa(t.want)})
	}
	return changes
}

// Enough inotify for a node with some hundred pods. The kernel counts per user, and on a node nearly everything is root.
const (
	enoughInstances = 8192
	enoughWatches   = 524_288
	leastInstances  = 16 // what a node without pods takes
)

// raiseInotify makes room where a host's limits are too low for a node. Where they may not be written (inside a
// container, say) the node does with what there is, if that is enough to start.
func raiseInotify(ledger *host.Ledger) error {
	limits, err := host.InotifyLimits()
	if err != nil {
		return err
	}
	var raised error
	if limits.Low() {
		raised = errors.Join(
			ledger.Apply(host.Sysctl{Key: "fs.inotify.max_user_instances", Want: strconv.Itoa(max(enoughInstances, limits.Instances))}),
			ledger.Apply(host.Sysctl{Key: "fs.inotify.max_user_watches", Want: strconv.Itoa(max(enoughWatches, limits.Watches))}),
		)
	}
	if err := host.InotifyFree(leastInstances); err != nil {
		return errors.Join(err, raised)
	}
	return nil
}
