package version

import (
	"os"
	"regexp"
	"testing"
)

func TestKubernetesIsTheOneInGoMod(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\s*k8s\.io/kubernetes (v\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatal("go.mod does not require k8s.io/kubernetes")
	}
	if got := string(found[1]); got != Kubernetes {
		t.Errorf("Kubernetes is %s, go.mod has %s", Kubernetes, got)
	}
}

func TestABinaryWithoutAStampAnswers(t *testing.T) {
	if Number() != "dev" || Commit() != "unknown" {
		t.Errorf("got %s, %s", Number(), Commit())
	}
}
