package component

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestUserFlagsWinAndFeatureGatesAdd(t *testing.T) {
	got := Flags{"v": "2", "feature-gates": "A=true"}.With([]string{"--v=5", "feature-gates=B=false", "profiling"}).Args()
	want := []string{"--feature-gates=A=true,B=false", "--profiling=true", "--v=5"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnUnknownFlagIsOneClearError(t *testing.T) {
	set := pflag.NewFlagSet("program", pflag.ContinueOnError)
	set.Bool("known", false, "")
	err := Flags{"unknwon": "1"}.Parse("kubelet-arg", set)
	if err == nil || !strings.Contains(err.Error(), "kubelet-arg") || !strings.Contains(err.Error(), "unknwon") {
		t.Errorf("got %v", err)
	}
}
