// Package install tests install.sh, `skerry install` and `skerry uninstall` in throw-away hosts.
//
// Owns: the tests of what the installation promises, and the fake systemctl and web server that they need.
// Does not know: Skerry's packages. It sees what a user sees: commands, files, messages.
// Promises: nothing is fetched from outside the host; nothing that a test installs is left.
// Start reading at host in hands_test.go, then script_test.go.
//
// The binary is ../../bin/skerry or $SKERRY_BIN; where it does not matter, a small script stands for it.
package install
