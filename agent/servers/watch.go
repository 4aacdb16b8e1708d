package servers

import (
	"context"
	"fmt"
	"net"
	"strconv"

	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// service is what every API server enters itself into, in the namespace default.
const service = "kubernetes"

// Run learns from the cluster until ctx ends. It is ready at once: the list is never empty.
func (s *Servers) Run(ctx context.Context, ready func()) error {
	config, err := clientcmd.BuildConfigFromFlags("", s.config.Kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return s.follow(ctx, client, ready)
}

// follow watches the EndpointSlices of the Service.
func (s *Servers) follow(ctx context.Context, client kubernetes.Interface, ready func()) error {
	only := func(o *meta.ListOptions) {
		o.LabelSelector = labels.Set{discovery.LabelServiceName: service}.String()
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(meta.NamespaceDefault), informers.WithTweakListOptions(only))
	slices := factory.Discovery().V1().EndpointSlices()
	look := func(any) {
		list, err := slices.Lister().List(labels.Everything())
		if err == nil { // it reads memory
			s.learn(urlsOf(list))
		}
	}
	if _, err := slices.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: look, UpdateFunc: func(_, now any) { look(now) }, DeleteFunc: look,
	}); err != nil {
		return fmt.Errorf("watch the cluster's servers: %w", err)
	}
	factory.Start(ctx.Done())
	ready()
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// urlsOf are the URLs of the endpoints that are ready.
func urlsOf(list []*discovery.EndpointSlice) []string {
	var urls []string
	for _, slice := range list {
		port, found := portOf(slice)
		if !found {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			for _, address := range e.Addresses {
				urls = append(urls, "https://"+net.JoinHostPort(address, port))
			}
		}
	}
	return urls
}

func portOf(slice *discovery.EndpointSlice) (port string, found bool) {
	for _, p := range slice.Ports {
		if p.Port != nil && (p.Name == nil || *p.Name == "https") {
			return strconv.Itoa(int(*p.Port)), true
		}
	}
	return "", false
}
