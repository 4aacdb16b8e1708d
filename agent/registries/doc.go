// Package registries turns registries.yaml, in the format that k3s users have, into what containerd reads: a hosts.toml
// per registry, and the credentials.
//
// Owns: the format, its checks, the hosts.toml files it wrote. Does not know: how containerd is run, or any image.
// Promises: a key or wish that containerd cannot follow is a problem with file, line and cure, never ignored; files are
// written only when they differ; files of registries that left registries.yaml are removed, those of others are not touched.
// Start reading at Load, then Config.Write.
package registries
