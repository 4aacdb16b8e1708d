package agent

import (
	"path/filepath"

	"github.com/skerry-io/skerry/agent/images"
	"github.com/skerry-io/skerry/internal/run"
)

// told is what components tell the status of what they look after.
type told struct{ announcer, api, dns, netpol, volumes run.Rows }

// archiveDetails tells of the archives that could not be imported.
func archiveDetails(importer *images.Importer) func() []run.Detail {
	return func() []run.Detail {
		var details []run.Detail
		for _, p := range importer.Problems() {
			details = append(details, run.Detail{Name: filepath.Base(p.File), State: "failed", Bad: true, Since: p.Since, Err: p.Err})
		}
		return details
	}
}
