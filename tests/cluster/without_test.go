package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// components are what a server can do without, each with what tells that it is there by giving nil.
func components(c *cluster) map[string]func(*testing.T) error {
	return map[string]func(*testing.T) error{
		"dns": func(t *testing.T) error {
			conn, err := c.host.Dial(t.Context(), "tcp", c.host.Address()+":6445")
			if err == nil {
				_ = conn.Close()
			}
			return err
		},
		"manifests": func(t *testing.T) error { _, err := c.text(t, "filed"); return err },
		"metrics":   c.served("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"),
		"servicelb": func(t *testing.T) error {
			s, err := c.api.CoreV1().Services(inDefault).Get(t.Context(), "my-web", metav1.GetOptions{})
			if err == nil && len(s.Status.LoadBalancer.Ingress) == 0 {
				err = errors.New("it has no address")
			}
			return err
		},
		"storage":        c.served("get", "storageclass", "local-path"),
		"network-policy": c.served("get", "clusterrole", "skerry:network-policy"),
	}
}

// served says whether kubectl is answered.
func (c *cluster) served(args ...string) func(*testing.T) error {
	return func(t *testing.T) error {
		_, err := c.try(t, append([]string{"kubectl"}, args...)...)
		return err
	}
}

// TestSwitchedOff: what is switched off is not there, and what a start with it has made is gone after the next one without:
// the cluster has no object that one which never had any component has not.
func TestSwitchedOff(t *testing.T) {
	var names []string
	c := newCluster(t, "", []string{busybox})
	for name := range components(c) {
		names = append(names, name)
	}
	slices.Sort(names)
	off := "disable: [" + strings.Join(names, ", ") + "]\n"
	c.host.Write(configFile, []byte(off))
	c.start(t)
	c.balance(t, "my-web", 80, "")
	never := c.objects(t)
	t.Run("from the first start", func(t *testing.T) { nothingOf(t, c) })

	c.again(t, "")
	c.manifest("filed.yaml", motd("filed", "1"))
	t.Run("switched on", func(t *testing.T) {
		for name, there := range components(c) {
			c.eventually(t, name+" is there", func() error { return there(t) })
		}
	})
	c.again(t, off)
	t.Run("switched off again", func(t *testing.T) {
		c.kubectl(t, "delete", "configmap", "filed") // what a manifest made stays, and is the users'
		nothingOf(t, c)
		c.eventually(t, "no object is left", func() error {
			var more []string
			for _, object := range c.objects(t) {
				if !slices.Contains(never, object) {
					more = append(more, object)
				}
			}
			if len(more) > 0 {
				return fmt.Errorf("there are also %q", more)
			}
			return nil
		})
	})
}

// nothingOf wants no component to be there, nor the status to tell of what one looks after.
func nothingOf(t *testing.T, c *cluster) {
	for name, there := range components(c) {
		c.eventually(t, name+" is not there", func() error {
			if there(t) == nil {
				return errors.New("it is")
			}
			return nil
		})
	}
	s := c.status(t)
	for _, row := range s.Components {
		if slices.Contains([]string{"announcer", "dns", "dns-service", "manifests", "metrics", "network-policy", "servicelb", "storage", "volumes"}, row.Service) {
			t.Errorf("the status tells %+v", row)
		}
	}
}

// objects are all there is in the cluster, but for what comes and goes by itself, and the book that manifests keep: it says what
// files have made, for the day when the component is switched on again.
func (c *cluster) objects(t *testing.T) []string {
	t.Helper()
	var kinds []string
	for kind := range strings.FieldsSeq(c.kubectl(t, "api-resources", "--verbs=list", "-o", "name")) {
		if !slices.Contains([]string{"events", "events.events.k8s.io", "leases.coordination.k8s.io", "pods", "nodes", "csinodes.storage.k8s.io"}, kind) {
			kinds = append(kinds, kind)
		}
	}
	var all []string
	out := c.kubectl(t, "get", strings.Join(kinds, ","), "-A", "--no-headers", "-o",
		"custom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name,BOOK:.metadata.labels.skerry\\.io/manifests-of")
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) == 4 && words[3] == "<none>" {
			all = append(all, strings.Join(words[:3], " "))
		}
	}
	return all
}
