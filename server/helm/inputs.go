package helm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/fault"
	source "github.com/skerry-io/skerry/server/helm/charts"
)

// policyAbort leaves a failed release as it is. The other policy, reinstall, is what is done without one.
const policyAbort = "abort"

// inputs are all that a release is made of.
type inputs struct {
	source  source.Source
	values  map[string]any
	abort   bool
	watched []reference // what is asked again when it changes
}

// gather reads what an object says and names. On an error the references are those found until then.
func (h *Helm) gather(ctx context.Context, c *helmChart) (in inputs, err error) {
	s := c.Spec
	in.source = source.Source{Content: s.ChartContent, Chart: s.Chart, Repo: s.Repo, Version: s.Version}
	in.abort = s.FailurePolicy == policyAbort
	layers := []layer{{where: "spec.valuesContent", text: s.ValuesContent}}
	if s.Values != nil {
		layers = append(layers, layer{where: "spec.values", values: s.Values})
	}
	more, errs := h.secretValues(ctx, c.Namespace, s.ValuesSecrets, &in)
	layers = append(layers, more...)
	config, err := h.extra(ctx, c)
	if err != nil {
		return in, err
	}
	if config != nil {
		layers = append(layers, layer{where: "the HelmChartConfig's spec.valuesContent", text: config.Spec.ValuesContent})
		if config.Spec.Values != nil {
			layers = append(layers, layer{where: "the HelmChartConfig's spec.values", values: config.Spec.Values})
		}
		more, err := h.secretValues(ctx, c.Namespace, config.Spec.ValuesSecrets, &in)
		layers, errs = append(layers, more...), errors.Join(errs, err)
		if config.Spec.FailurePolicy != "" {
			in.abort = config.Spec.FailurePolicy == policyAbort
		}
	}
	in.source.Access, err = h.access(ctx, c, &in)
	if errs = errors.Join(errs, err); errs != nil {
		return in, errs
	}
	if in.values, err = merged(layers); err != nil {
		return in, err
	}
	return in, set(in.values, s.Set)
}

// extra is the HelmChartConfig of the same name, nil when there is none.
func (h *Helm) extra(ctx context.Context, c *helmChart) (*chartConfig, error) {
	found, err := h.clients.Dynamic.Resource(chartConfigs()).Namespace(c.Namespace).Get(ctx, c.Name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // none is no error
	}
	if err != nil {
		return nil, err
	}
	var config chartConfig
	return &config, decode(found, &config)
}

// secretValues are the values in Secrets, in the order in which they are named.
func (h *Helm) secretValues(ctx context.Context, namespace string, list []valuesSecret, in *inputs) ([]layer, error) {
	var layers []layer
	for _, one := range list {
		if !one.IgnoreUpdates {
			in.watched = append(in.watched, reference{secrets, namespace, one.Name})
		}
		data, err := h.secret(ctx, namespace, one.Name, "spec.valuesSecrets")
		if err != nil {
			return nil, err
		}
		keys := one.Keys
		if len(keys) == 0 {
			keys = slices.Sorted(maps.Keys(data))
		}
		for _, key := range keys {
			text, there := data[key]
			if !there {
				return nil, fault.New("read values: the Secret %s/%s has no key %q", namespace, one.Name, key).Fix("add it, or correct spec.valuesSecrets")
			}
			layers = append(layers, layer{where: fmt.Sprintf("the key %s of the Secret %s/%s", key, namespace, one.Name), text: string(text)})
		}
	}
	return layers, nil
}

func (h *Helm) secret(ctx context.Context, namespace, name, field string) (map[string][]byte, error) {
	found, err := h.clients.Core.CoreV1().Secrets(namespace).Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fault.New("there is no Secret %s/%s", namespace, name).Because(errMissing).Fix("make it, or correct %s", field)
	}
	if err != nil {
		return nil, err
	}
	return found.Data, nil
}

// errMissing is the cause of what is over when an object is made.
var errMissing = errors.New("it is named by the HelmChart")

// hash tells these inputs from others. How the chart's repository is reached does not count.
func (in *inputs) hash(c *helmChart, stamp string) (string, error) {
	text, err := json.Marshal([]any{stamp, in.values, c.target(), c.Spec.TakeOwnership})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}
