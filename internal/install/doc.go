// Package install makes the program a service of the host, and takes that back.
//
// Owns: the service file, the service's environment file, the links of the tools, and the ledger of the installation, which is
// apart from the node's because a running node holds its own.
// Does not know: how the program got to its place (install.sh puts it there), or what the service does.
// Promises: every change is in the ledger before it is made; installing again without a change restarts nothing.
// Start reading at Installation.Make.
package install
