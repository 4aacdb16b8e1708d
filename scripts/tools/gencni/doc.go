// Gencni writes the sources of one program that is several CNI plugins, the one it is called as. The plugins are commands, which
// Go cannot import; so each is copied out of the module cache as a package, with its main function under an exported name.
//
// Owns: which plugins there are. Does not know: what they do; nothing in them is changed but the two names.
// Promises: the same module version gives the same sources. Start reading at generate.
package main
