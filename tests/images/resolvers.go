package images

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

//go:embed lookup/lookup.c
var lookup []byte

// Resolvers is busybox with the two resolvers that most programs in pods have: /bin/lookup-musl and /bin/lookup-glibc ask
// theirs for a name or an address; and /usr/bin/dig.
func (k Kitchen) Resolvers(name string) (Image, error) {
	image, err := k.Busybox(name)
	if err != nil {
		return Image{}, err
	}
	roots, err := k.unpack("libc6", "bind9-dnsutils", "bind9-libs")
	if err != nil {
		return Image{}, err
	}
	for libc, compile := range map[string]func(source, program string) []string{"musl": withMusl, "glibc": withGlibc} {
		program, err := k.compile(libc, compile)
		if err != nil {
			return Image{}, fmt.Errorf("compile against %s: %w", libc, err)
		}
		if err := image.Files.addProgram(append([]string{program}, roots...), "/bin/lookup-"+libc); err != nil {
			return Image{}, err
		}
	}
	image.Files.Add("/etc/nsswitch.conf", 0o644, []byte("hosts: files dns\n"))
	return image, image.Files.addProgram(roots, "/usr/bin/dig")
}

// compile makes the program against a C library, in a folder like that of an unpacked package.
func (k Kitchen) compile(libc string, with func(source, program string) []string) (root string, err error) {
	root = filepath.Join(k.Folder, "lookup-"+libc)
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		return "", err
	}
	source := filepath.Join(root, "lookup.c")
	if err := os.WriteFile(source, lookup, 0o644); err != nil {
		return "", err
	}
	_, err = command(root, with(source, filepath.Join(root, "bin", "lookup-"+libc))...)
	return root, err
}

func withGlibc(source, program string) []string { return []string{"gcc", "-Os", "-o", program, source} }

// withMusl is what the helper programs of skerry are compiled with, see scripts/helpers.
func withMusl(source, program string) []string {
	triple := map[string]string{"amd64": "x86_64-linux-musl", "arm64": "aarch64-linux-musl", "arm": "arm-linux-musleabihf"}[runtime.GOARCH]
	lib := "/usr/lib/" + triple
	return []string{"gcc", "-Os", "-nostdinc", "-isystem", "/usr/include/" + triple, "-o", program, "-static", "-no-pie", "-nostdlib",
		lib + "/crt1.o", lib + "/crti.o", source, lib + "/libc.a", "-lgcc", lib + "/libc.a", lib + "/crtn.o"}
}
