package cluster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volumesOfLeft is where the agent left keeps its volumes.
const volumesOfLeft = "/opt/volumes"

// TestStorage: claims of the class local-path are directories of the node that the pod is on, for as long as they are
// wanted. The parts share the cluster, and the last takes the agent away.
func TestStorage(t *testing.T) {
	c := newCluster(t, "", []string{busybox})
	left := c.newAgent(t, "left", []string{"--default-local-storage-path", volumesOfLeft})
	c.start(t)
	c.apply(t, "storage.yaml")
	for _, claim := range []string{"kept", "shared", "huge"} {
		c.create(t, withClaim("server", claim))
	}
	c.podReady(t, "diary-0")

	t.Run("a pod of any user writes, and its successor reads", func(t *testing.T) { dataStays(t, c, left) })
	t.Run("a StatefulSet that is deleted and made again", func(t *testing.T) { recreated(t, c) })
	t.Run("what cannot be is said at the claim and in the status", func(t *testing.T) {
		for claim, words := range map[string]string{"shared": "ReadWriteMany is not possible", "huge": "holds"} {
			c.saidOf(t, claim, words)
			if row := c.status(t).row("storage", "default/"+claim); row.State != "refused" || !row.OK || !strings.Contains(row.Error, words) {
				t.Errorf("the status tells %+v of the claim %s", row, claim)
			}
		}
		c.kubectl(t, "delete", "pod", "huge", "shared", "--now")
		c.kubectl(t, "delete", "pvc", "huge", "shared")
		c.statusUntil(t, "it is forgotten with the claims", func(s told) bool {
			return s.row("storage", "default/huge").Name == "" && s.row("storage", "default/shared").Name == ""
		})
	})
	t.Run("Retain", func(t *testing.T) { retained(t, c) })
	t.Run("Delete, while the node is away", func(t *testing.T) { deletedAway(t, c, left) })
	t.Run("the node leaves", func(t *testing.T) { nodeLeaves(t, c, left) })
}

// withClaim is a pod for a node that mounts a claim of its own name at /data. The scheduler decides, as it has to choose
// for the claim.
func withClaim(node, claim string) *corev1.Pod {
	pod := sleeper(claim)
	pod.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	return pod
}

func dataStays(t *testing.T, c *cluster, left *agent) {
	c.exec(t, "diary-0", "sh", "-c", "echo dear > /data/page")
	found := left.files(volumesOfLeft + "/pvc-*_default_data-diary-0/page")
	if len(found) != 1 {
		t.Fatalf("the node has %q, and in %s %q", found, volumesOfLeft, left.files(volumesOfLeft+"/*"))
	}
	if info, err := os.Stat(left.host.Path(filepath.Dir(found[0]))); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("the directory has the mode %v, %v", info.Mode(), err)
	}
	if size := c.kubectl(t, "get", "pvc", "data-diary-0", "-o", "jsonpath={.status.capacity.storage}"); strings.TrimSpace(size) != "10Mi" {
		t.Errorf("the capacity is %q", size)
	}
	old := c.pod(t, "diary-0")
	c.kubectl(t, "delete", "pod", "diary-0", "--wait=false")
	c.podUntil(t, "diary-0", "is another one and ready", func(p *corev1.Pod) error {
		if p.UID == old.UID || !isReady(p) {
			return fmt.Errorf("uid %s", p.UID)
		}
		return nil
	})
	if out := c.exec(t, "diary-0", "cat", "/data/page"); out != "dear" {
		t.Errorf("the page says %q", out)
	}
}

// recreated: its pod comes back to the node that has the data, though nothing but the volume says so, and waits while that
// takes none.
func recreated(t *testing.T, c *cluster) {
	volume := c.volumeOf(t, "data-diary-0")
	c.kubectl(t, "delete", "statefulset", "diary")
	c.kubectl(t, "wait", "--for=delete", "pod/diary-0", "--timeout=1m")
	c.kubectl(t, "cordon", "left")
	text, err := os.ReadFile("testdata/storage.yaml")
	if err != nil {
		t.Fatal(err)
	}
	anywhere := strings.ReplaceAll(string(text), "nodeSelector: {kubernetes.io/hostname: left}", "nodeSelector: {}")
	anywhere = strings.ReplaceAll(anywhere, "tolerations: [{operator: Exists}]", "tolerations: []")
	c.applyText(t, anywhere)
	c.eventually(t, "the pod waits for its node", func() error {
		if said := c.events(t, "diary-0"); !strings.Contains(said, "FailedScheduling") {
			return fmt.Errorf("said is %s", said)
		}
		return nil
	})
	c.kubectl(t, "uncordon", "left")
	if pod := c.podReady(t, "diary-0"); pod.Spec.NodeName != "left" {
		t.Errorf("it is on %s", pod.Spec.NodeName)
	}
	if out := c.exec(t, "diary-0", "cat", "/data/page"); out != "dear" || c.volumeOf(t, "data-diary-0") != volume {
		t.Errorf("the page says %q", out)
	}
}

// saidOf waits for a warning about a claim, which stays without a volume.
func (c *cluster) saidOf(t *testing.T, claim, words string) {
	t.Helper()
	c.eventually(t, fmt.Sprintf("%q is said of the claim %s", words, claim), func() error {
		if said := c.events(t, claim); !strings.Contains(said, words) {
			return fmt.Errorf("said is %s", said)
		}
		return nil
	})
	pvc, err := c.api.CoreV1().PersistentVolumeClaims(inDefault).Get(t.Context(), claim, metav1.GetOptions{})
	if err != nil || pvc.Status.Phase != corev1.ClaimPending {
		t.Errorf("the claim is %s, %v", pvc.Status.Phase, err)
	}
}

// volumeOf is the volume that a claim is bound to.
func (c *cluster) volumeOf(t *testing.T, claim string) string {
	t.Helper()
	return strings.TrimSpace(c.kubectl(t, "get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}"))
}

// volumeUntil waits until a volume is in a phase; empty means that it is gone.
func (c *cluster) volumeUntil(t *testing.T, volume string, want corev1.PersistentVolumePhase) {
	t.Helper()
	c.eventually(t, fmt.Sprintf("volume %s is %q", volume, want), func() error {
		all, err := c.api.CoreV1().PersistentVolumes().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		var is corev1.PersistentVolumePhase
		for _, v := range all.Items {
			if v.Name == volume {
				is = v.Status.Phase
			}
		}
		if is != want {
			return fmt.Errorf("it is %q; said is %s", is, c.events(t, volume))
		}
		return nil
	})
}

func retained(t *testing.T, c *cluster) {
	c.podReady(t, "kept")
	c.exec(t, "kept", "sh", "-c", "echo precious > /data/page")
	volume := c.volumeOf(t, "kept")
	c.kubectl(t, "delete", "pod", "kept")
	c.kubectl(t, "delete", "pvc", "kept")
	c.volumeUntil(t, volume, corev1.VolumeReleased)
	c.kubectl(t, "delete", "pv", volume)
	c.volumeUntil(t, volume, "")
	if found := c.files("/var/lib/skerry/storage/" + volume + "_default_kept/page"); len(found) != 1 {
		t.Errorf("the data is gone; there is %q", c.files("/var/lib/skerry/storage/*"))
	}
}

// nodeLeaves: its data is not to be had any more, and who owns the claim is told so.
func nodeLeaves(t *testing.T, c *cluster, left *agent) {
	c.applyText(t, "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: lost}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}")
	c.create(t, withClaim("left", "lost"))
	c.podReady(t, "lost")
	volume := c.volumeOf(t, "lost")
	left.host.PowerCut()
	c.kubectl(t, "delete", "node", "left")
	c.eventually(t, "it is said of the claim", func() error {
		if said := c.events(t, "lost"); !strings.Contains(said, "NodeGone") || !strings.Contains(said, "left") {
			return fmt.Errorf("said is %s", said)
		}
		return nil
	})
	if row := c.status(t).row("storage", volume); row.State != "waiting" || !strings.Contains(row.Error, "left") {
		t.Errorf("the status tells %+v", row)
	}
}

func deletedAway(t *testing.T, c *cluster, left *agent) {
	volume := c.volumeOf(t, "data-diary-0")
	c.kubectl(t, "delete", "statefulset", "diary")
	c.eventually(t, "the pod is gone", func() error {
		_, err := c.try(t, "kubectl", "wait", "--for=delete", "pod/diary-0", "--timeout=1s")
		return err
	})
	left.host.PowerCut()
	c.kubectl(t, "delete", "pvc", "data-diary-0")
	c.volumeUntil(t, volume, corev1.VolumeReleased)
	left.host.Boot()
	if len(left.files(volumesOfLeft+"/"+volume+"_*")) != 1 {
		t.Error("the directory was gone before its node came back")
	}
	left.join(t, c)
	c.volumeUntil(t, volume, "")
	if found := left.files(volumesOfLeft + "/*"); len(found) != 0 {
		t.Errorf("left are %q", found)
	}
}
