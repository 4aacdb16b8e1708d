// Package hygiene holds the source tree against the rules it is written by.
//
// Owns: the rules (package docs, import arrows, package state, exits, environment, lengths, go.mod, names that must not
// appear), their exceptions with reasons, and docs/graph.md.
// Does not know: what the code does; it parses files and links nothing of them.
// Promises: every finding names file, rule and reason; every rule is shown to fail on a bad example; an exception that
// nothing needs any more is a finding too.
// Start reading at rules in rules_test.go.
package hygiene
