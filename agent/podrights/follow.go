package podrights

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/lines"
	"github.com/skerry-io/skerry/internal/wire"
)

// Run listens to servers until ctx ends. It is ready at once: what they said last counts until they say something else.
func (r *Rights) Run(ctx context.Context, ready func()) error {
	config, err := clientcmd.BuildConfigFromFlags("", r.config.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	ready()
	r.source(client, config.Host+wire.PathPodRights).Follow(ctx)
	return nil
}

// source is where servers tell rights.
func (r *Rights) source(client *http.Client, route string) lines.Source {
	return lines.Source{
		HTTP:    client,
		URL:     func() string { return route + "?watch=true&have=" + url.QueryEscape(r.kept) },
		Longest: wire.MaxPodRights,
		Take: func(text []byte) error {
			err := r.learn(text)
			if err != nil {
				r.config.Log.Warn("what a server says of pods' rights is not understood; what was said before counts", "err", err)
			}
			return err
		},
		Silent: r.unheard,
		Hurry:  r.hurry,
	}
}

// unheard is called when servers tell no rights, for now or at all.
func (r *Rights) unheard(why error) {
	if no := (*lines.RefusedError)(nil); errors.As(why, &no) && no.Code == http.StatusNotFound {
		r.forget()
	}
	r.config.Log.Debug("no server tells pods' rights; it is asked again", "err", why)
}

// Hurry says that a server is in reach again: a long pause ends.
func (r *Rights) Hurry() {
	select {
	case r.hurry <- struct{}{}:
	default: // it hurries already
	}
}
