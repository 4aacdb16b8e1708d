package helm

import (
	"maps"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/strvals"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/skerry-io/skerry/internal/fault"
)

// layer is a part of a chart's values, and where it is written.
type layer struct {
	where  string
	text   string
	values map[string]any // instead of text
}

// merged lays values over each other; the later win. A null takes away what the chart itself says.
func merged(layers []layer) (map[string]any, error) {
	all := map[string]any{}
	for _, l := range layers {
		values := l.values
		if values == nil {
			if err := yaml.Unmarshal([]byte(l.text), &values); err != nil {
				return nil, fault.New("read the values in %s", l.where).Because(err).Fix("correct the YAML there; it is a map of values")
			}
		}
		all = over(all, values)
	}
	return all, nil
}

// over is below with the values of above.
func over(below, above map[string]any) map[string]any {
	result := maps.Clone(below)
	for name, value := range above {
		lower, both := result[name].(map[string]any)
		if upper, is := value.(map[string]any); is && both {
			value = over(lower, upper)
		}
		result[name] = value
	}
	return result
}

// set adds the entries of spec.set, whose names are paths. As in k3s a text stays a text, unless it is true, false or null.
func set(values map[string]any, entries map[string]intstr.IntOrString) error {
	for _, path := range slices.Sorted(maps.Keys(entries)) {
		value, parse := entries[path], strvals.ParseIntoString
		text := value.String()
		if value.Type == intstr.Int || slices.Contains([]string{"true", "false", "null"}, strings.ToLower(text)) {
			parse = strvals.ParseInto
		}
		if err := parse(path+"="+strings.ReplaceAll(text, ",", `\,`), values); err != nil {
			return fault.New("set the value %s", path).Because(err).Fix("correct the entry of spec.set")
		}
	}
	return nil
}
