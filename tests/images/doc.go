// Package images makes container images for tests out of Debian packages, and archives out of images.
//
// Owns: the recipes (busybox, nginx, redis, resolvers), the folder of downloaded packages, the archive formats that `docker save` and
// OCI tools write.
// Does not know: hosts, clusters, or how an archive is imported.
// Promises: an image holds a program and the libraries it needs, nothing else; the same packages give the same bytes;
// a package is downloaded once.
// Start reading at Kitchen, then Image.Write.
package images
