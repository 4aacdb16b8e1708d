package helm

import (
	"encoding/json"
	"time"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	apiVersion = "helm.cattle.io/v1"
	kindChart  = "HelmChart"
	// finalizer keeps an object until its release is uninstalled.
	finalizer = "skerry.io/helm"
)

func charts() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "helm.cattle.io", Version: "v1", Resource: "helmcharts"}
}

func chartConfigs() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "helm.cattle.io", Version: "v1", Resource: "helmchartconfigs"}
}

// helmChart is an object of a user. What crds.yaml lists beyond it is accepted and means nothing here.
type helmChart struct {
	meta.ObjectMeta `json:"metadata"`
	Spec            chartSpec   `json:"spec"`
	Status          chartStatus `json:"status"`
}

type chartSpec struct {
	TargetNamespace       string                        `json:"targetNamespace"`
	CreateNamespace       bool                          `json:"createNamespace"`
	Chart                 string                        `json:"chart"`
	Version               string                        `json:"version"`
	Repo                  string                        `json:"repo"`
	RepoCA                string                        `json:"repoCA"`
	RepoCAConfigMap       *named                        `json:"repoCAConfigMap"`
	Set                   map[string]intstr.IntOrString `json:"set"`
	ValuesContent         string                        `json:"valuesContent"`
	Values                map[string]any                `json:"values"`
	ValuesSecrets         []valuesSecret                `json:"valuesSecrets"`
	ChartContent          string                        `json:"chartContent"`
	FailurePolicy         string                        `json:"failurePolicy"`
	Timeout               *meta.Duration                `json:"timeout"`
	BackOffLimit          *int                          `json:"backOffLimit"`
	AuthSecret            *named                        `json:"authSecret"`
	AuthPassCredentials   bool                          `json:"authPassCredentials"`
	DockerRegistrySecret  *named                        `json:"dockerRegistrySecret"`
	InsecureSkipTLSVerify bool                          `json:"insecureSkipTLSVerify"`
	PlainHTTP             bool                          `json:"plainHTTP"`
	TakeOwnership         bool                          `json:"takeOwnership"`
}

// named is an object in the namespace of the one that names it.
type named struct {
	Name string `json:"name"`
}

// valuesSecret has more values in some of its keys; in all, when it names none.
type valuesSecret struct {
	Name          string   `json:"name"`
	Keys          []string `json:"keys"`
	IgnoreUpdates bool     `json:"ignoreUpdates"`
}

// chartConfig is a HelmChartConfig: more values for the HelmChart of the same name.
type chartConfig struct {
	Spec struct {
		ValuesContent string         `json:"valuesContent"`
		Values        map[string]any `json:"values"`
		ValuesSecrets []valuesSecret `json:"valuesSecrets"`
		FailurePolicy string         `json:"failurePolicy"`
	} `json:"spec"`
}

// chartStatus is what Skerry says of a HelmChart.
type chartStatus struct {
	ObservedGeneration int64            `json:"observedGeneration,omitempty"`
	Conditions         []meta.Condition `json:"conditions,omitempty"`
	// Inputs stands for what the release is made of.
	Inputs string `json:"inputs,omitempty"`
	// Tried stands for what it could not be made of, Tries counts how often in a row, LastTry is when it was last tried.
	Tried   string         `json:"tried,omitempty"`
	Tries   int            `json:"tries,omitempty"`
	LastTry *meta.Time     `json:"lastTry,omitempty"`
	Release *releaseStatus `json:"release,omitempty"`
}

// releaseStatus is the release that an object has.
type releaseStatus struct {
	Name       string `json:"name"`
	Namespace  string `json:"namespace"`
	Revision   int    `json:"revision,omitempty"`
	Chart      string `json:"chart,omitempty"`
	Version    string `json:"version,omitempty"`
	AppVersion string `json:"appVersion,omitempty"`
}

// key says which object.
func (c *helmChart) key() types.NamespacedName {
	return types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
}

// target is the namespace that the release belongs into.
func (c *helmChart) target() string {
	if c.Spec.TargetNamespace != "" {
		return c.Spec.TargetNamespace
	}
	return c.Namespace
}

func (c *helmChart) timeout() time.Duration {
	if c.Spec.Timeout == nil {
		return 0
	}
	return c.Spec.Timeout.Duration
}

// decode reads an object that the API server gave.
func decode(from *unstructured.Unstructured, to any) error {
	text, err := from.MarshalJSON()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fault.New("read the object").Because(err).Fix("correct its spec; timeout is for instance 10m")
	}
	return nil
}
