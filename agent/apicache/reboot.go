package apicache

import (
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A reboot gives pods other addresses, and one in good order ends them for good. Servers would enter the addresses into the
// EndpointSlices, and have pods replaced; while there are none, the node sees to its own.

// settle does once, before the first answer without a server, what a reboot asks for. It does nothing when a server has told of
// endpoints since the boot: then pods run, and nothing would make their endpoints ready again.
func (k *Cache) settle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.rebooted {
		return
	}
	k.rebooted = false
	k.revive()
	k.unready()
	k.changed()
}

// revive has the kubelet run pods again that it ended because the machine was shut down: it said that they failed, and a pod that failed
// never runs again. Where a server heard that, they may run elsewhere by now, but for those that belong to this node. mu is held.
func (k *Cache) revive() {
	own := k.own()
	if own == nil {
		return
	}
	for at := range own.members {
		o, err := k.get(at)
		if err != nil {
			continue
		}
		pod, ok := k.podOf(at, o)
		if !ok || !shutDown(pod) || endsByItself(pod) || !k.index.entries[at].local && !ofEachNode(pod) {
			continue
		}
		pod.Status = core.PodStatus{Phase: core.PodPending, QOSClass: pod.Status.QOSClass}
		if now, err := encoded(o.form, o.APIVersion, o.Kind, pod); err == nil {
			k.index.put(at, now, true)
			k.tell(at, nil)
		}
	}
}

// shutDown says that a pod was ended, or not begun any more, because the machine was shut down. The reasons are the kubelet's.
func shutDown(pod *core.Pod) bool {
	of := pod.Status
	return of.Phase == core.PodFailed && (of.Reason == "Terminated" || of.Reason == "NodeShutdown") && pod.DeletionTimestamp == nil
}

// endsByItself says that a pod has work to finish. Its containers ended, some without an error, and are not run again: the kubelet would take
// that for the end of the work.
func endsByItself(pod *core.Pod) bool {
	return pod.Spec.RestartPolicy == core.RestartPolicyNever || pod.Spec.RestartPolicy == core.RestartPolicyOnFailure
}

// ofEachNode says that a pod runs on its own node or nowhere.
func ofEachNode(pod *core.Pod) bool {
	owner := meta.GetControllerOf(pod)
	return owner != nil && owner.Kind == "DaemonSet"
}
