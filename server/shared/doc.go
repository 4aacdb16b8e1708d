// Package shared is what all servers of a cluster have in common on disk, and how it gets from one to the other: sealed, by way of
// the datastore.
//
// Owns: the key in the datastore, the roll of servers that nothing else there stands for, how the files are packed and sealed in it, and replacing them when another server has changed
// them. Does not know: what any of the files is for, except that the authority of servers says which cluster it is.
// Promises: who reads the datastore cannot read the files; who has the server token can; a server that runs can also when the
// token was changed meanwhile; what belongs to another cluster is refused before a file is touched; what two servers change at
// the same time is both kept, unless it is the same file; a file that one server misses stays on the others.
// Start reading at Keeper.
package shared
