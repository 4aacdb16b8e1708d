package releases

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/kube"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes"
)

// cluster is the library's client, except for what it waits for: its own waits cannot be stopped, and take a Service
// without an address, or a DaemonSet of which a node is switched off, for a failure.
type cluster struct {
	*kube.Client
	typed kubernetes.Interface
	ctx   context.Context //nolint:containedctx // the library's interface hands none in
}

// glance is how long it is until the next look at what is waited for.
const glance = time.Second

// Build never asks for the API server's schemas: they would be tens of megabytes, and it checks the objects itself.
func (c *cluster) Build(reader io.Reader, _ bool) (kube.ResourceList, error) {
	return c.Client.Build(reader, false)
}

// Wait waits for Deployments, StatefulSets and definitions to be ready.
func (c *cluster) Wait(list kube.ResourceList, timeout time.Duration) error {
	checker := kube.NewReadyChecker(c.typed, nil, kube.PausedAsReady(true))
	for _, one := range list {
		switch one.Mapping.GroupVersionKind.Kind {
		case "Deployment", "StatefulSet", "CustomResourceDefinition":
		default:
			continue
		}
		began := time.Now()
		err := c.until(timeout, func(ctx context.Context) (bool, error) { return checker.IsReady(ctx, one) })
		if err != nil {
			return fmt.Errorf("%s is not ready: %w%s", titleOf(one), err, c.why(one))
		}
		timeout -= time.Since(began)
	}
	return nil
}

// WaitWithJobs is Wait: the Jobs that matter are hooks.
func (c *cluster) WaitWithJobs(list kube.ResourceList, timeout time.Duration) error {
	return c.Wait(list, timeout)
}

// WaitForDelete waits until all are gone.
func (c *cluster) WaitForDelete(list kube.ResourceList, timeout time.Duration) error {
	for _, one := range list {
		began := time.Now()
		err := c.until(timeout, func(context.Context) (bool, error) {
			err := one.Get()
			return apierrors.IsNotFound(err), errUnless(apierrors.IsNotFound(err), err)
		})
		if err != nil {
			return fmt.Errorf("%s does not go: %w", titleOf(one), err)
		}
		timeout -= time.Since(began)
	}
	return nil
}

// WatchUntilReady waits for hooks to be done: Jobs to be complete, Pods to end well.
func (c *cluster) WatchUntilReady(list kube.ResourceList, timeout time.Duration) error {
	for _, one := range list {
		var done func(ctx context.Context) (bool, error)
		switch one.Mapping.GroupVersionKind.Kind {
		case "Job":
			done = func(ctx context.Context) (bool, error) { return c.jobDone(ctx, one.Namespace, one.Name) }
		case "Pod":
			done = func(ctx context.Context) (bool, error) { return c.podDone(ctx, one.Namespace, one.Name) }
		default:
			continue
		}
		began := time.Now()
		if err := c.until(timeout, done); err != nil {
			return fmt.Errorf("the hook %s: %w", titleOf(one), err)
		}
		timeout -= time.Since(began)
	}
	return nil
}

func (c *cluster) jobDone(ctx context.Context, namespace, name string) (bool, error) {
	job, err := c.typed.BatchV1().Jobs(namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return false, err
	}
	for _, condition := range job.Status.Conditions {
		switch {
		case condition.Status != core.ConditionTrue:
		case condition.Type == batch.JobComplete:
			return true, nil
		case condition.Type == batch.JobFailed:
			return false, final{fmt.Errorf("the Job failed: %s: %s", condition.Reason, condition.Message)}
		}
	}
	return false, fmt.Errorf("%d of its pods run and %d failed", job.Status.Active, job.Status.Failed)
}

func (c *cluster) podDone(ctx context.Context, namespace, name string) (bool, error) {
	pod, err := c.typed.CoreV1().Pods(namespace).Get(ctx, name, meta.GetOptions{})
	if err != nil {
		return false, err
	}
	if pod.Status.Phase == core.PodFailed {
		return false, final{errors.New(strings.TrimRight("the Pod failed: "+pod.Status.Reason+": "+pod.Status.Message, ": "))}
	}
	return pod.Status.Phase == core.PodSucceeded, fmt.Errorf("the Pod is %s", pod.Status.Phase)
}

// final is an error that waiting does not cure.
type final struct{ error }

// until looks again and again until something is so. After timeout it says what the last look found.
func (c *cluster) until(timeout time.Duration, so func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	var last error
	for {
		is, err := so(ctx)
		if is {
			return nil
		}
		if end, ended := err.(final); ended { //nolint:errorlint // so itself says it
			return end.error
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			if cause := context.Cause(c.ctx); cause != nil {
				return cause
			}
			if last != nil {
				return fmt.Errorf("after %v: %w", timeout.Round(time.Second), last)
			}
			return fmt.Errorf("after %v", timeout.Round(time.Second))
		}
	}
}

func errUnless(fine bool, err error) error {
	if fine {
		return nil
	}
	return err
}

func titleOf(r *resource.Info) string {
	return fmt.Sprintf("%s %s", r.Mapping.GroupVersionKind.Kind, r.Name)
}
