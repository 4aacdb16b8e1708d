package users

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/skerry-io/skerry/internal/certs"
	"github.com/skerry-io/skerry/internal/cli/cluster"
	"github.com/skerry-io/skerry/internal/cli/command"
	"github.com/skerry-io/skerry/internal/fault"
)

// shortest is the shortest life of a certificate that Kubernetes gives.
const shortest = 10 * time.Minute

// Create makes a key and a certificate of a user, and writes the kubeconfig with them.
func Create(ctx context.Context, env command.Env, flags command.UserCreate, words []string) error {
	user := words[0]
	if err := check(user, flags); err != nil {
		return err
	}
	connection, err := cluster.Connect(env, flags.Access)
	if err != nil {
		return err
	}
	ca, err := connection.CAText()
	if err != nil {
		return err
	}
	key, err := certs.NewKey()
	if err != nil {
		return err
	}
	cert, err := sign(ctx, connection, request{user: user, groups: flags.Group, ttl: flags.TTL}, key)
	if err != nil {
		return err
	}
	server := flags.Server
	if server == "" {
		server = connection.Config.Host
	}
	text, err := kubeconfig(user, server, ca, cert, key)
	if err != nil {
		return err
	}
	if err := write(flags.Output, text, env.Out); err != nil {
		return err
	}
	return tell(env.Err, user, server, cert, flags)
}

// check finds all that is wrong with what the user wants, before anything is made.
func check(user string, flags command.UserCreate) error {
	var p fault.Problems
	if strings.HasPrefix(user, "system:") || strings.TrimSpace(user) != user || user == "" {
		p.Add("", "%q cannot be the name of a user", user).Fix("choose a name; those with system: in front are Kubernetes' own")
	}
	if slices.Contains(flags.Group, "system:masters") {
		p.Add("group", "nobody gets a certificate with the group system:masters, which may do everything and could not be shut out again").At("--group").
			Fix("choose a group of your own, and let it do everything: skerry kubectl create clusterrolebinding admins --clusterrole=cluster-admin --group=GROUP")
	}
	if flags.TTL < shortest {
		p.Add("ttl", "ttl %s is too short", flags.TTL).At("--ttl").Fix("write at least %s", shortest)
	}
	if flags.Server != "" {
		if u, err := url.Parse(flags.Server); err != nil || u.Scheme != "https" || u.Hostname() == "" {
			p.Add("server", "server %q is not the address of a server", flags.Server).At("--server").Fix("write https://HOST:PORT, for example https://10.0.0.1:6443")
		}
	}
	if flags.Output != "" {
		if _, err := os.Lstat(flags.Output); err == nil {
			p.Add("output", "there is a file %s already", flags.Output).At("--output").Fix("remove it, or name another")
		}
	}
	return p.Err()
}

// write puts the kubeconfig where it was asked for.
func write(path string, text []byte, out io.Writer) error {
	if path == "" {
		_, err := out.Write(text)
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		_, err = file.Write(text)
		err = errors.Join(err, file.Sync(), file.Close())
	}
	if err == nil {
		return nil
	}
	var failed *fs.PathError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return fault.New("write %s", path).Because(err).Fix("name a file in a directory that you can write to")
}

// tell says what was made, beside the kubeconfig, which may be standard output.
func tell(out io.Writer, user, server string, cert *x509.Certificate, flags command.UserCreate) error {
	groups := "in no group"
	if len(flags.Group) > 0 {
		groups = "in " + strings.Join(flags.Group, ", ")
	}
	lines := []string{fmt.Sprintf("the certificate of %s, %s, is good until %s; until then only its role bindings can be taken back", user, groups, cert.NotAfter.Format(time.RFC3339))}
	if cert.NotAfter.Before(time.Now().Add(flags.TTL - shortest)) {
		lines = append(lines, "that is earlier than asked for: the cluster signs for no longer")
	}
	if u, err := url.Parse(server); err == nil && (u.Hostname() == "127.0.0.1" || u.Hostname() == "::1" || u.Hostname() == "localhost") {
		lines = append(lines, "the kubeconfig leads to this machine only; for another one, name the server with --server")
	}
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}
