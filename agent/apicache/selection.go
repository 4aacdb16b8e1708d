package apicache

import (
	"encoding/json"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// The fields by which objects of every kind can be selected.
const fieldName, fieldNamespace = "metadata.name", "metadata.namespace"

// ofEveryObject says that a selector asks for nothing but fields that every object has.
func ofEveryObject(selector string) bool {
	chosen, err := fields.ParseSelector(selector)
	if err != nil {
		return false
	}
	for _, one := range chosen.Requirements() {
		if one.Field != fieldName && one.Field != fieldNamespace {
			return false
		}
	}
	return true
}

// selection is what a list or watch asks for of a view that covers it. It is a lens.
type selection struct {
	namespace string // empty for all
	labels    labels.Selector
	fields    fields.Selector
}

// selection reads the selectors. Fields that not every object has are the view's to select.
func (q *query) selection() (s selection, err error) {
	s.namespace, s.fields = q.namespace, fields.Everything()
	if s.labels, err = labels.Parse(q.labels); err == nil && ofEveryObject(q.fields) {
		s.fields, err = fields.ParseSelector(q.fields)
	}
	return s, err
}

func (s selection) alters(ref) bool { return false }

func (s selection) show(at ref, o object) (object, bool, error) {
	if s.namespace != "" && at.Namespace != s.namespace || !s.fields.Matches(fields.Set{fieldName: at.Name, fieldNamespace: at.Namespace}) {
		return o, false, nil
	}
	if s.labels.Empty() {
		return o, true, nil
	}
	of, err := labelsOf(o)
	return o, s.labels.Matches(of), err
}

func labelsOf(o object) (labels.Set, error) {
	if o.form == jsonText {
		var text struct {
			Metadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
		}
		err := json.Unmarshal(o.body, &text)
		return text.Metadata.Labels, err
	}
	var partial meta.PartialObjectMetadata
	err := partial.Unmarshal(o.body)
	return partial.Labels, err
}
