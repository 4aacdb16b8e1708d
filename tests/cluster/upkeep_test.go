package cluster_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestUpkeep: a server's own node follows its settings and its address, without a hand on it.
func TestUpkeep(t *testing.T) {
	n := newNode(t, nil)
	n.host.Write(configFile, []byte("node-label: [disk=ssd, rack=one]\n"))
	n.serve()
	n.ready(t)
	n.labelled(t, map[string]string{"disk": "ssd", "rack": "one"})
	t.Run("labels and taints follow the settings", func(t *testing.T) {
		n.kubectl(t, "label", "node", "--all", "mine=1")
		n.kubectl(t, "taint", "node", "--all", "mine=1:PreferNoSchedule")
		n.stop(t)
		n.host.Write(configFile, []byte("node-label: [disk=hdd]\nnode-taint: [own=1:PreferNoSchedule]\n"))
		n.serve()
		n.ready(t)
		n.labelled(t, map[string]string{"disk": "hdd", "rack": "", "mine": "1"}, "own", "mine")
		n.stop(t)
		n.host.Write(configFile, nil)
		n.serve()
		n.ready(t)
		n.labelled(t, map[string]string{"disk": "", "rack": "", "mine": "1"}, "mine")
	})
	t.Run("another address is followed in place", func(t *testing.T) {
		const address = "10.200.0.78"
		pid := n.proc.Pid()
		began := time.Now()
		n.host.Readdress(address)
		n.eventually(t, "the Node has the new address", func() error {
			client, err := n.client()
			if err != nil {
				return err
			}
			nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
			if err != nil || len(nodes.Items) != 1 {
				return errors.Join(err, fmt.Errorf("%d nodes", len(nodes.Items)))
			}
			return hasAddress(&nodes.Items[0], address)
		})
		took := time.Since(began)
		t.Logf("after %v", took.Round(100*time.Millisecond))
		if took > followWithin || !n.proc.Running() || n.proc.Pid() != pid {
			t.Errorf("it took %v; the process runs: %v", took, n.proc.Running())
		}
	})
}

// labelled waits for the one Node to have the labels, "" for none, and the taints of these keys and no others.
func (n *node) labelled(t *testing.T, labels map[string]string, taints ...string) {
	t.Helper()
	n.eventually(t, "the Node has the labels and taints", func() error {
		nodes, err := n.api.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(nodes.Items) != 1 {
			return errors.Join(err, fmt.Errorf("%d nodes", len(nodes.Items)))
		}
		have := map[string]string{}
		for key := range labels {
			have[key] = nodes.Items[0].Labels[key]
		}
		given := map[string]bool{}
		for _, taint := range nodes.Items[0].Spec.Taints {
			if taint.Effect == corev1.TaintEffectPreferNoSchedule {
				given[taint.Key] = true
			}
		}
		for _, key := range taints {
			if !given[key] {
				return fmt.Errorf("the taint %s is missing", key)
			}
		}
		if !maps.Equal(have, labels) || len(given) != len(taints) {
			return fmt.Errorf("it has %v %v", have, given)
		}
		return nil
	})
}
