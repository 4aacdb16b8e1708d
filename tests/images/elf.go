package images

import (
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// addProgram puts a program and every library it needs into the tree, from folders of unpacked packages.
func (t Tree) addProgram(roots []string, program string) error {
	queue := []string{program}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if _, there := t[name]; there {
			continue
		}
		file, err := find(roots, name)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		t.Add(name, 0o755, data)
		needs, err := needed(file)
		if err != nil {
			return fmt.Errorf("read what %s needs: %w", name, err)
		}
		for _, need := range needs {
			path, err := locate(roots, need)
			if err != nil {
				return fmt.Errorf("%s needs %s: %w", name, need, err)
			}
			queue = append(queue, path)
		}
	}
	return nil
}

// find gives the file behind an absolute path of an image. Links inside packages are relative or stay in the package.
func find(roots []string, name string) (string, error) {
	for _, root := range roots {
		file, err := filepath.EvalSymlinks(filepath.Join(root, name))
		if err == nil {
			return file, nil
		}
		if to, err := os.Readlink(filepath.Join(root, name)); err == nil { // to another package's folder
			if !filepath.IsAbs(to) {
				to = filepath.Join(filepath.Dir(name), to)
			}
			if to != name {
				return find(roots, to)
			}
		}
	}
	return "", fmt.Errorf("%s: %w", name, os.ErrNotExist)
}

// locate gives the absolute path, in the image, of a library or, for an absolute name, of the loader.
func locate(roots []string, name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, root := range roots {
		for _, dir := range []string{"lib/*", "usr/lib/*", "lib", "usr/lib"} {
			if found, _ := filepath.Glob(filepath.Join(root, dir, name)); len(found) > 0 {
				return strings.TrimPrefix(found[0], root), nil
			}
		}
	}
	return "", os.ErrNotExist
}

// needed lists the libraries a file is linked with, and its loader by absolute path. Static files need nothing.
func needed(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	if section := f.Section(".interp"); section != nil {
		loader, err := section.Data()
		if err != nil {
			return nil, err
		}
		names = append(names, strings.TrimRight(string(loader), "\x00"))
	}
	return names, nil
}
