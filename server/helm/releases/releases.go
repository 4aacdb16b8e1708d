package releases

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	"k8s.io/client-go/rest"

	"github.com/skerry-io/skerry/internal/fault"
)

// DefaultTimeout is for an Order that says none.
const DefaultTimeout = 5 * time.Minute

// ownerLabel stands on the records of a release, and says in which namespace its HelmChart is.
const ownerLabel = "skerry.io/helmchart-namespace"

// Order says what a release shall be.
type Order struct {
	Namespace, Name string
	Owner           string // the namespace of the object that wants it
	Archive         []byte // the packed chart
	Values          map[string]any
	Timeout         time.Duration // of each hook, and of the wait for workloads
	// Adopt takes objects over that are there and are no release's.
	Adopt bool
	// Inherit takes over a release of another owner.
	Inherit bool
	// Reinstall uninstalls a release that has never worked, and begins anew.
	Reinstall bool
	// Patience ends all waiting when it ends; nil: only the call's context does.
	Patience context.Context //nolint:containedctx // two contexts: what is begun is recorded when waiting was broken off
}

// waiting is the context of waits.
func (o Order) waiting(ctx context.Context) context.Context {
	if o.Patience == nil {
		return ctx
	}
	return o.Patience
}

// Release is what the records say of one.
type Release struct {
	Revision                   int
	Chart, Version, AppVersion string
	Fresh                      bool // installed, not upgraded
}

// Failure is a step that the library began and could not finish.
type Failure struct {
	Step string // "install", "upgrade" or "uninstall"
	// BackTo is the revision that the release was rolled back to, 0 for none.
	BackTo int
	// Left says why it could not be rolled back.
	Left error
	Err  error
}

// Error says what failed and how it was left.
func (f *Failure) Error() string {
	text := f.Step + " the release: " + f.Err.Error()
	switch {
	case f.Left != nil:
		text += "; it could not be rolled back: " + f.Left.Error()
	case f.BackTo != 0:
		text += fmt.Sprintf("; rolled back to what revision %d was", f.BackTo)
	}
	return text
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Releases uses the library with one API server.
type Releases struct {
	config *rest.Config
	log    *slog.Logger
}

// New uses the API server that c leads to, with all its rights.
func New(c *rest.Config, log *slog.Logger) *Releases { return &Releases{config: c, log: log} }

// Apply installs or upgrades a release. The error is a *Failure once anything was done in the cluster.
func (r *Releases) Apply(ctx context.Context, o Order) (done Release, err error) {
	defer fault.Recover(&err)
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	what, err := load(o.Archive)
	if err != nil {
		return Release{}, err
	}
	config, err := configuration(ctx, r.config, o, r.log)
	if err != nil {
		return Release{}, err
	}
	last, err := r.last(config, o)
	if err != nil {
		return Release{}, err
	}
	if last != nil && (last.Info.Status == release.StatusUninstalling || last.Info.Status == release.StatusFailed && o.Reinstall && neverWorked(config, o.Name)) {
		if err := uninstall(config, o); err != nil {
			return Release{}, err
		}
		last = nil
	}
	if last == nil || last.Info.Status == release.StatusUninstalled {
		return install(config, o, what)
	}
	return upgrade(config, o, what, last)
}

// last is the newest record of a release, nil for none. What was broken off by the end of a process has failed.
func (r *Releases) last(config *action.Configuration, o Order) (*release.Release, error) {
	last, err := config.Releases.Last(o.Name)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil //nolint:nilnil // none is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read the records of the release: %w", err)
	}
	if owner := last.Labels[ownerLabel]; owner != "" && owner != o.Owner && !o.Inherit {
		return nil, &Foreign{Owner: owner}
	}
	if last.Info.Status.IsPending() {
		r.log.Info("a release was left half done; it is taken up again", "release", o.Name, "namespace", o.Namespace, "status", last.Info.Status)
		last.SetStatus(release.StatusFailed, "broken off by the end of the server")
		if err := config.Releases.Update(last); err != nil {
			return nil, fmt.Errorf("write the records of the release: %w", err)
		}
	}
	return last, nil
}

// Foreign is the error of a release that another object owns.
type Foreign struct{ Owner string }

// Error names the owner's namespace.
func (f *Foreign) Error() string {
	return "the release belongs to the HelmChart of this name in the namespace " + f.Owner
}

// neverWorked says that no revision of a release is or was in use.
func neverWorked(config *action.Configuration, name string) bool {
	all, err := config.Releases.History(name)
	if err != nil {
		return false
	}
	for _, one := range all {
		if one.Info.Status == release.StatusDeployed || one.Info.Status == release.StatusSuperseded {
			return false
		}
	}
	return true
}

func install(config *action.Configuration, o Order, what *chart.Chart) (Release, error) {
	i := action.NewInstall(config)
	i.ReleaseName, i.Namespace, i.Timeout = o.Name, o.Namespace, o.Timeout
	i.Labels = map[string]string{ownerLabel: o.Owner}
	i.TakeOwnership = o.Adopt
	i.Replace = true // the records of one that was uninstalled are in nobody's way
	i.DisableOpenAPIValidation = true
	done, err := i.Run(what, o.Values)
	if err == nil {
		return described(done, true), nil
	}
	if _, recorded := config.Releases.Last(o.Name); recorded != nil {
		return Release{}, explain(err)
	}
	return Release{}, &Failure{Step: "install", Err: explain(err)}
}

func upgrade(config *action.Configuration, o Order, what *chart.Chart, before *release.Release) (Release, error) {
	u := action.NewUpgrade(config)
	u.Namespace, u.Timeout, u.MaxHistory = o.Namespace, o.Timeout, history
	u.Labels = map[string]string{ownerLabel: o.Owner}
	u.TakeOwnership = o.Adopt
	u.ResetValues = true
	u.Wait = true
	u.DisableOpenAPIValidation = true
	done, err := u.Run(o.Name, what, o.Values)
	if err == nil {
		return described(done, false), nil
	}
	last, unread := config.Releases.Last(o.Name)
	if unread == nil && last.Version == before.Version {
		return Release{}, explain(err) // it was refused before anything was done
	}
	failed := &Failure{Step: "upgrade", Err: explain(err)}
	if o.Patience != nil && o.Patience.Err() != nil {
		return Release{}, failed // it is tried again at once
	}
	failed.BackTo, failed.Left = rollback(config, o)
	return Release{}, failed
}

// rollback makes a release what it was when it last worked. A release that never did is left.
func rollback(config *action.Configuration, o Order) (to int, err error) {
	good, err := config.Releases.Deployed(o.Name)
	if errors.Is(err, driver.ErrNoDeployedReleases) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	back := action.NewRollback(config)
	back.Version, back.Timeout, back.MaxHistory, back.CleanupOnFail = good.Version, o.Timeout, history, true
	if err := back.Run(o.Name); err != nil {
		return 0, err
	}
	return good.Version, nil
}

// Uninstall removes a release if it is the owner's. Its definitions, and a namespace made for it, stay.
func (r *Releases) Uninstall(ctx context.Context, o Order) (err error) {
	defer fault.Recover(&err)
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	config, err := configuration(ctx, r.config, o, r.log)
	if err != nil {
		return err
	}
	last, err := config.Releases.Last(o.Name)
	if errors.Is(err, driver.ErrReleaseNotFound) || err == nil && last.Labels[ownerLabel] != o.Owner {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the records of the release: %w", err)
	}
	return uninstall(config, o)
}

func uninstall(config *action.Configuration, o Order) error {
	u := action.NewUninstall(config)
	u.IgnoreNotFound, u.Wait, u.Timeout = true, true, o.Timeout
	if _, err := u.Run(o.Name); err != nil {
		return &Failure{Step: "uninstall", Err: explain(err)}
	}
	return nil
}

func described(r *release.Release, fresh bool) Release {
	d := Release{Revision: r.Version, Fresh: fresh}
	if r.Chart != nil && r.Chart.Metadata != nil {
		d.Chart, d.Version, d.AppVersion = r.Chart.Metadata.Name, r.Chart.Metadata.Version, r.Chart.Metadata.AppVersion
	}
	return d
}
