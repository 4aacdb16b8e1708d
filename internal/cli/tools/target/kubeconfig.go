package target

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/skerry-io/skerry/internal/config"
	"github.com/skerry-io/skerry/internal/fault"
)

// Kubeconfig gives the file that kubectl shall use, or "" when it finds its own: the user named one, or may not read this
// node's and has one at home, or the command needs none. args are the words after kubectl.
func Kubeconfig(getenv func(string) string, args []string) (string, error) {
	return kubeconfig(getenv, args, config.DefaultKubeconfig)
}

func kubeconfig(getenv func(string) string, args []string, fallback string) (string, error) {
	named, explicit := flagValue(args, "kubeconfig")
	needed := needsCluster(args)
	switch {
	case explicit:
		return "", check(named, needed)
	case getenv("KUBECONFIG") != "":
		return "", checkList(filepath.SplitList(getenv("KUBECONFIG")), needed)
	}
	// On a node, its own cluster is meant; the file at home may be for any other.
	if file, err := os.Open(fallback); err == nil {
		_ = file.Close()
		return fallback, check(fallback, needed)
	}
	if home := getenv("HOME"); home != "" {
		own := filepath.Join(home, ".kube", "config")
		if _, err := os.Stat(own); err == nil {
			return "", check(own, needed)
		}
	}
	return fallback, check(fallback, needed)
}

// Files gives the kubeconfigs that our own commands read, chosen as Kubeconfig does for kubectl: named is what the user
// named, or "".
func Files(getenv func(string) string, named string) ([]string, error) {
	return files(getenv, named, config.DefaultKubeconfig)
}

func files(getenv func(string) string, named, fallback string) ([]string, error) {
	args := []string{"get"} // any command that asks the cluster
	if named != "" {
		args = append(args, "--kubeconfig", named)
	}
	path, err := kubeconfig(getenv, args, fallback)
	switch {
	case err != nil:
		return nil, err
	case path != "":
		return []string{path}, nil
	case named != "":
		return []string{named}, nil
	case getenv("KUBECONFIG") != "":
		return filepath.SplitList(getenv("KUBECONFIG")), nil
	}
	return []string{filepath.Join(getenv("HOME"), ".kube", "config")}, nil
}

// checkList wants every file that is there to be usable, and one to be there.
func checkList(paths []string, needed bool) error {
	var missing error
	found := false
	for _, path := range paths {
		if path == "" {
			continue
		}
		err := check(path, needed)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = errors.Join(missing, err)
		case err != nil:
			return err
		default:
			found = true
		}
	}
	if found {
		return nil
	}
	return missing
}

// check tells in one sentence what kubectl would tell as a refused connection to localhost:8080.
func check(path string, needed bool) error {
	if !needed {
		return nil
	}
	_, err := clientcmd.LoadFromFile(path)
	if err == nil {
		return nil
	}
	f := fault.New("use the kubeconfig %s", path)
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f.Because(fs.ErrNotExist).Fix("start `skerry server` here, or name the kubeconfig of another cluster with --kubeconfig or KUBECONFIG")
	case errors.Is(err, fs.ErrPermission):
		return f.Because(fs.ErrPermission).Fix("run it as root, or let `skerry server --write-kubeconfig-mode 0640 --write-kubeconfig-group GROUP` share it")
	case errors.As(err, &pathErr):
		return f.Because(pathErr.Err).Fix("name a file with --kubeconfig or KUBECONFIG")
	}
	return f.Because(err).Fix("it is damaged: a restart of `skerry server` writes its own anew, another needs a fresh copy")
}

// needsCluster tells the calls that work without any cluster.
func needsCluster(args []string) bool {
	words := commandWords(args)
	if len(words) == 0 {
		return false
	}
	offline := []string{"config", "kustomize", "completion", "help", "options", "plugin", "__complete", "__completeNoDesc"}
	if slices.Contains(offline, words[0]) {
		return false
	}
	for _, arg := range args {
		if arg == "--" {
			break
		}
		switch arg {
		case "-h", "--help", "--client", "--client=true", "--dry-run=client", "--local", "--local=true":
			return false
		}
	}
	_, server := flagValue(args, "server")
	return !server
}

// commandWords are the leading words that are no flags, which is enough to know the command.
func commandWords(args []string) []string {
	var words []string
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			break
		}
		if !strings.HasPrefix(arg, "-") {
			words = append(words, arg)
			continue
		}
		if slices.Contains(valueFlags(), arg) {
			i++ // its value is the next word
		}
	}
	return words
}

// valueFlags are the flags that may stand before the command with their value as the next word.
func valueFlags() []string {
	return []string{
		"-n", "--namespace", "--context", "--cluster", "--user", "--kubeconfig", "-s", "--server", "--token", "--as",
		"--as-group", "--as-uid", "--request-timeout", "--certificate-authority", "--client-certificate", "--client-key",
		"--cache-dir", "--tls-server-name", "-v", "--v",
	}
}

// flagValue finds --name VALUE, --name=VALUE, and -s for the server.
func flagValue(args []string, name string) (string, bool) {
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value, true
		}
		if (arg == "--"+name || name == "server" && arg == "-s") && i+1 < len(args) {
			return args[i+1], true
		}
	}
	return "", false
}
