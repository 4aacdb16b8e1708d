package helm

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skerry-io/skerry/internal/fault"
	source "github.com/skerry-io/skerry/server/helm/charts"
)

// access reads the credentials and authorities that an object names.
func (h *Helm) access(ctx context.Context, c *helmChart, in *inputs) (source.Access, error) {
	s := c.Spec
	a := source.Access{Everywhere: s.AuthPassCredentials, Insecure: s.InsecureSkipTLSVerify, PlainHTTP: s.PlainHTTP, CA: []byte(s.RepoCA)}
	if s.RepoCAConfigMap != nil {
		in.watched = append(in.watched, reference{configMaps, c.Namespace, s.RepoCAConfigMap.Name})
		more, err := h.authorities(ctx, c.Namespace, s.RepoCAConfigMap.Name)
		if err != nil {
			return a, err
		}
		a.CA = append(append(a.CA, '\n'), more...)
	}
	if s.AuthSecret != nil {
		in.watched = append(in.watched, reference{secrets, c.Namespace, s.AuthSecret.Name})
		data, err := h.secret(ctx, c.Namespace, s.AuthSecret.Name, "spec.authSecret")
		if err != nil {
			return a, err
		}
		a.Username, a.Password = string(data[core.BasicAuthUsernameKey]), string(data[core.BasicAuthPasswordKey])
		if a.Username == "" {
			return a, fault.New("the Secret %s/%s has no username", c.Namespace, s.AuthSecret.Name).Fix("make it of the type %s", core.SecretTypeBasicAuth)
		}
	}
	if s.DockerRegistrySecret != nil {
		in.watched = append(in.watched, reference{secrets, c.Namespace, s.DockerRegistrySecret.Name})
		data, err := h.secret(ctx, c.Namespace, s.DockerRegistrySecret.Name, "spec.dockerRegistrySecret")
		if err != nil {
			return a, err
		}
		if a.Registries, err = logins(data[core.DockerConfigJsonKey]); err != nil {
			return a, fault.New("read the Secret %s/%s", c.Namespace, s.DockerRegistrySecret.Name).Because(err).
				Fix("make it of the type %s", core.SecretTypeDockerConfigJson)
		}
	}
	return a, nil
}

// authorities are all certificates in a ConfigMap, whatever its keys are.
func (h *Helm) authorities(ctx context.Context, namespace, name string) ([]byte, error) {
	found, err := h.clients.Core.CoreV1().ConfigMaps(namespace).Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fault.New("there is no ConfigMap %s/%s", namespace, name).Because(errMissing).Fix("make it, or correct spec.repoCAConfigMap")
	}
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, text := range found.Data {
		all = append(append(all, text...), '\n')
	}
	for _, text := range found.BinaryData {
		all = append(append(all, text...), '\n')
	}
	return all, nil
}

// logins reads a Docker configuration file.
func logins(text []byte) (map[string]source.Login, error) {
	var file struct {
		Auths map[string]struct {
			Username string `json:"username"`
			Password string `json:"password"`
			Auth     string `json:"auth"`
		} `json:"auths"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	all := map[string]source.Login{}
	for where, one := range file.Auths {
		login := source.Login{Username: one.Username, Password: one.Password}
		if login.Username == "" {
			pair, err := base64.StdEncoding.DecodeString(one.Auth)
			if err != nil {
				return nil, err
			}
			login.Username, login.Password, _ = strings.Cut(string(pair), ":")
		}
		host := strings.TrimPrefix(strings.TrimPrefix(where, "https://"), "http://")
		host, _, _ = strings.Cut(host, "/")
		all[host] = login
	}
	return all, nil
}
