package cluster_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// oneIsDamaged: a bit of a value has changed on the disk of a server. At its start it makes its part of the datastore anew, in place.
func oneIsDamaged(t *testing.T, s *servers) {
	n, mark := s.all[1], "a value that can be found"
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "marked"}, Data: map[string]string{"text": mark}}
	if _, err := n.api.CoreV1().ConfigMaps("default").Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	n.stop(t)
	const etcd = serverDir + "/db/etcd"
	database := n.host.Path(etcd + "/member/snap/db")
	text, err := os.ReadFile(database)
	if err != nil || !bytes.Contains(text, []byte(mark)) {
		t.Fatalf("the value is not in the database: %v", err)
	}
	if err := os.WriteFile(database, bytes.ReplaceAll(text, []byte(mark), []byte("a walue that can be found")), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n.serve()
	n.apiReady(t)
	t.Logf("the server was ready with what the others have after %s", time.Since(began).Round(10*time.Millisecond))
	if got, err := n.api.CoreV1().ConfigMaps("default").Get(t.Context(), "marked", metav1.GetOptions{}); err != nil || got.Data["text"] != mark {
		t.Errorf("it says %v, %v", got, err)
	}
	status, _ := n.try(t, "status", "-o", "wide") // its exit code says for a day that something was wrong
	if kept := n.files(etcd + "/member.damaged-*"); len(kept) != 1 || !strings.Contains(status, "healed") || strings.Count(status, "member server") < 3 {
		t.Errorf("kept is %v, and the status says %s", kept, status)
	}
}
