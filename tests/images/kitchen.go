package images

import (
	"fmt"
	"os"
	"strings"
)

// Kitchen makes images. Its folder keeps what was downloaded.
type Kitchen struct {
	Folder string
}

// Busybox is a static busybox under all its names, with a shell.
func (k Kitchen) Busybox(name string) (Image, error) {
	roots, err := k.unpack("busybox-static")
	if err != nil {
		return Image{}, err
	}
	files := base()
	if err := files.addProgram(roots, "/bin/busybox"); err != nil {
		return Image{}, err
	}
	file, err := find(roots, "/bin/busybox")
	if err != nil {
		return Image{}, err
	}
	applets, err := command("/", file, "--list")
	if err != nil {
		return Image{}, err
	}
	for _, applet := range strings.Fields(applets) {
		if applet != "busybox" {
			files.Link("/bin/"+applet, "busybox")
		}
	}
	return Image{Name: name, Cmd: []string{"sh"}, Files: files}, nil
}

// Nginx serves one page that says the version, on port 80, and logs to its standard output.
func (k Kitchen) Nginx(name, version string) (Image, error) {
	roots, err := k.unpack("nginx")
	if err != nil {
		return Image{}, err
	}
	files := base()
	if err := files.addProgram(roots, "/usr/sbin/nginx"); err != nil {
		return Image{}, err
	}
	files.Add("/etc/nginx/nginx.conf", 0o644, []byte(`user nobody nogroup;
worker_processes 1;
daemon off;
error_log stderr;
pid /tmp/nginx.pid;
events { worker_connections 256; }
http {
	access_log /dev/stdout;
	client_body_temp_path /tmp/body;
	proxy_temp_path /tmp/proxy;
	fastcgi_temp_path /tmp/fastcgi;
	uwsgi_temp_path /tmp/uwsgi;
	scgi_temp_path /tmp/scgi;
	server {
		listen 80;
		root /usr/share/nginx/html;
	}
}
`))
	files.Add("/usr/share/nginx/html/index.html", 0o644, fmt.Appendf(nil, "nginx version %s\n", version))
	files.Folder("/var/log/nginx", 0o755)
	files.Folder("/var/lib/nginx", 0o755)
	return Image{Name: name, Entrypoint: []string{"/usr/sbin/nginx"}, Files: files}, nil
}

// Redis is redis-server and redis-cli; its data folder is /data.
func (k Kitchen) Redis(name string) (Image, error) {
	roots, err := k.unpack("redis-server", "redis-tools")
	if err != nil {
		return Image{}, err
	}
	files := base()
	for _, program := range []string{"/usr/bin/redis-server", "/usr/bin/redis-cli"} {
		if err := files.addProgram(roots, program); err != nil {
			return Image{}, err
		}
	}
	files.Folder("/data", 0o755)
	return Image{Name: name, Entrypoint: []string{"/usr/bin/redis-server"}, Cmd: []string{"--dir", "/data"}, Files: files}, nil
}

// base is what programs expect of any file tree.
func base() Tree {
	t := Tree{}
	t.Folder("/tmp", 0o777|os.ModeSticky)
	t.Folder("/run", 0o755)
	t.Folder("/root", 0o700)
	t.Add("/etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"))
	t.Add("/etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	return t
}
