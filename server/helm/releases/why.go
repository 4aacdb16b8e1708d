package releases

import (
	"fmt"

	"helm.sh/helm/v3/pkg/kube"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"
)

// why says what keeps a workload from being ready, as far as its pods tell; "" when they do not.
func (c *cluster) why(workload *resource.Info) string {
	selector, err := kube.SelectorsForObject(kube.AsVersioned(workload))
	if err != nil {
		return ""
	}
	pods, err := c.typed.CoreV1().Pods(workload.Namespace).List(c.ctx, meta.ListOptions{LabelSelector: selector.String(), Limit: 50})
	if err != nil {
		return ""
	}
	for _, pod := range pods.Items {
		for _, container := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			if reason := stuck(container); reason != "" {
				return fmt.Sprintf("; container %s of %s: %s", container.Name, pod.Name, reason)
			}
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == core.PodScheduled && condition.Status == core.ConditionFalse {
				return fmt.Sprintf("; %s: %s", pod.Name, condition.Message)
			}
		}
	}
	return ""
}

// stuck is why a container does not run, "" when it does.
func stuck(c core.ContainerStatus) string {
	switch {
	case c.State.Waiting != nil && c.State.Waiting.Reason != "PodInitializing" && c.State.Waiting.Reason != "ContainerCreating":
		return c.State.Waiting.Reason + ": " + c.State.Waiting.Message
	case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
		return fmt.Sprintf("%s: it ended with %d", c.State.Terminated.Reason, c.State.Terminated.ExitCode)
	}
	return ""
}
