package images

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// unpack downloads the packages and the libraries they depend on, once, and unpacks each into a folder of its own.
func (k Kitchen) unpack(packages ...string) ([]string, error) {
	var roots []string
	known := map[string]bool{}
	for len(packages) > 0 {
		name := packages[0]
		packages = packages[1:]
		if known[name] {
			continue
		}
		known[name] = true
		root, err := k.one(name)
		if err != nil {
			return nil, err
		}
		roots = append(roots, filepath.Join(root, "root"))
		depends, err := os.ReadFile(filepath.Join(root, "depends"))
		if err != nil {
			return nil, fmt.Errorf("read what %s depends on: %w", name, err)
		}
		packages = append(packages, libraries(string(depends))...)
	}
	return roots, nil
}

// one gives the folder of a package with its unpacked files in root and its dependencies in depends.
func (k Kitchen) one(name string) (string, error) {
	dir := filepath.Join(k.Folder, name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	work := dir + ".new" // renamed when whole, so that a run that was cut short is not mistaken for done
	if err := errors.Join(os.RemoveAll(work), os.MkdirAll(work, 0o755)); err != nil {
		return "", err
	}
	if err := download(work, name); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("download %s: %d packages came: %w", name, len(debs), errors.Join(err))
	}
	if _, err := command(work, "dpkg-deb", "-x", debs[0], "root"); err != nil {
		return "", err
	}
	depends, err := command(work, "dpkg-deb", "-f", debs[0], "Pre-Depends", "Depends")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(work, "depends"), []byte(depends), 0o644); err != nil {
		return "", err
	}
	return dir, os.Rename(work, dir)
}

// download fetches with the machine's package tool; a machine that has no package lists yet gets them first.
func download(dir, name string) error {
	get := []string{"apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name}
	if _, err := command(dir, get...); err == nil {
		return nil
	}
	if _, err := command(dir, "apt-get", "-q", "update"); err != nil {
		return err
	}
	_, err := command(dir, get...)
	return err
}

func command(dir string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// libraries picks the library packages out of dependency fields; of alternatives the first.
func libraries(fields string) []string {
	var names []string
	for line := range strings.Lines(fields) {
		_, list, _ := strings.Cut(line, ": ")
		for dependency := range strings.SplitSeq(list, ",") {
			words := strings.FieldsFunc(dependency, func(r rune) bool { return strings.ContainsRune(" (|\n", r) })
			if len(words) > 0 && (strings.HasPrefix(words[0], "lib") || words[0] == "zlib1g") {
				names = append(names, words[0])
			}
		}
	}
	return names
}
