package releases

import (
	"bytes"
	"errors"
	"strings"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"github.com/skerry-io/skerry/internal/fault"
)

// load reads a packed chart, and checks that it can be installed.
func load(archive []byte) (*chart.Chart, error) {
	c, err := loader.LoadArchive(bytes.NewReader(archive))
	if err != nil {
		return nil, fault.New("read the chart").Because(err).Fix("make its archive with: helm package")
	}
	if err := c.Validate(); err != nil {
		return nil, fault.New("read the chart").Because(err).Fix("correct its Chart.yaml")
	}
	if kind := c.Metadata.Type; kind != "" && kind != "application" {
		return nil, fault.New("install the chart %s: it is of the type %s", c.Name(), kind).Fix("name a chart of the type application")
	}
	if c.Metadata.Dependencies != nil {
		if err := action.CheckDependencies(c, c.Metadata.Dependencies); err != nil {
			return nil, fault.New("install the chart %s", c.Name()).Because(err).Fix("pack it after: helm dependency update")
		}
	}
	return c, nil
}

// explain puts errors of the library, which cannot be told apart but by their text, into an operator's words.
func explain(err error) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "Too long: may not be more than 1048576 bytes"), strings.Contains(text, "request is too large"):
		return fault.New("record the release: chart and values are too large for a Secret, which takes 1 MB compressed").Because(errSize).
			Fix("leave files out of the chart by .helmignore, or split it")
	case strings.Contains(text, "invalid ownership metadata"):
		return fault.New("%s", text).Fix("remove the object, or set spec.takeOwnership to make it part of the release")
	}
	return err
}

var errSize = errors.New("the API server refuses it")
