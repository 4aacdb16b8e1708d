package manifests

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/skerry-io/skerry/internal/fault"
)

const (
	// serverLabel stands on records; its value tells those of one server from those of another.
	serverLabel = "skerry.io/manifests-of"
	// maxRecord is what fits into a ConfigMap, with room for its metadata.
	maxRecord = 1000 << 10
)

// record is what the cluster knows of a file: the objects that it brought, or was about to bring.
type record struct {
	path, server string
	refs         []ref
	stored       *core.ConfigMap // nil while there is none; without its data
	text         string          // refs as they are stored
}

func (r *record) has(k key) bool {
	return slices.ContainsFunc(r.refs, func(have ref) bool { return have.key() == k })
}

// name is that of the record's ConfigMap. Events about the file refer to it too.
func name(path, server string) string { return "skerry-manifest-" + id(path) + "." + id(server) }

// book is all records, as they were when it was opened.
type book struct {
	client kubernetes.Interface
	server string
	own    map[string]*record // by path
	others map[key]*record    // those of other servers, by what they hold
}

// openBook reads the records of all servers.
func openBook(ctx context.Context, client kubernetes.Interface, server string) (*book, error) {
	b := &book{client: client, server: server, own: map[string]*record{}, others: map[key]*record{}}
	list, err := client.CoreV1().ConfigMaps(meta.NamespaceSystem).List(ctx, meta.ListOptions{LabelSelector: serverLabel})
	if err != nil {
		return nil, fmt.Errorf("list the records of manifests: %w", err)
	}
	for i := range list.Items {
		r := decode(&list.Items[i])
		switch {
		case r.path == "":
		case r.server == server:
			b.own[r.path] = r
		default:
			for _, held := range r.refs {
				b.others[held.key()] = r
			}
		}
	}
	return b, nil
}

func decode(c *core.ConfigMap) *record {
	r := &record{path: c.Data["file"], server: c.Data["server"], text: c.Data["objects"]}
	for line := range strings.Lines(r.text) {
		var one ref
		if json.Unmarshal([]byte(line), &one) == nil && one.Name != "" && one.Resource != "" {
			r.refs = append(r.refs, one)
		}
	}
	c.Data = nil
	r.stored = c
	return r
}

// of gives the record of a file, an empty one when there is none.
func (b *book) of(path string) *record {
	if b.own[path] == nil {
		b.own[path] = &record{path: path, server: b.server}
	}
	return b.own[path]
}

// keep stores that a file brought these objects, if that is not what is stored.
func (b *book) keep(ctx context.Context, r *record, refs []ref) error {
	text := encode(refs)
	if text == r.text && r.stored != nil {
		return nil
	}
	if len(text) > maxRecord {
		return fault.New("the names of its %d objects are too long to be remembered", len(refs)).Fix("split the file")
	}
	next := &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: name(r.path, r.server), Namespace: meta.NamespaceSystem}}
	if r.stored != nil {
		next.ObjectMeta = r.stored.ObjectMeta
	}
	next.Labels = with(next.Labels, serverLabel, id(r.server))
	next.Data = map[string]string{"file": r.path, "server": r.server, "objects": text}
	var err error
	if maps := b.client.CoreV1().ConfigMaps(meta.NamespaceSystem); r.stored == nil {
		next, err = maps.Create(ctx, next, meta.CreateOptions{})
	} else {
		next, err = maps.Update(ctx, next, meta.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("remember what the file brings: %w", err)
	}
	r.stored, r.text, r.refs = next, text, refs
	return nil
}

// forget removes the record of a file that is gone.
func (b *book) forget(ctx context.Context, r *record) error {
	if r.stored == nil {
		return nil
	}
	err := b.client.CoreV1().ConfigMaps(meta.NamespaceSystem).Delete(ctx, r.stored.Name, meta.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("forget the file: %w", err)
	}
	delete(b.own, r.path)
	return nil
}

// encode writes one object a line, in an order that does not depend on the file's.
func encode(refs []ref) string {
	var lines []string
	for _, r := range refs {
		line, err := json.Marshal(r)
		if err == nil { // text always is JSON
			lines = append(lines, string(line)+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
