// Package manifests keeps the cluster as the files in the user's manifests folder say.
//
// Owns: reading the folder, applying what its files hold, the owner label on those objects, and the records in the
// cluster of what each file brought, by which objects are pruned.
// Does not know: what any object means, the manifests of Skerry's own components, how the API server is run.
// Promises: a change is applied within two seconds, without polling; a file that is broken, unreadable or half written
// changes nothing and delays no other; an object is deleted only when its file is gone or no longer holds it, it still
// bears the file's label, and nobody else holds it; what went while the server was down is pruned at the next start; an
// idle Keeper holds no kinds and asks the API server nothing.
// Start reading at Keeper.Run, then Keeper.pass.
package manifests
