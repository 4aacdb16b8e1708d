// Package images puts images that are already on the machine into the container runtime: archives from the images
// directory, at the start and while running, and the images that Skerry makes of its own programs.
//
// Owns: the images directory's reading side, the file that remembers what was imported, the names and labels of imported
// images. Does not know: registries, pulls, the kubelet, how containerd is run.
// Promises: an unchanged archive costs a stat and two short calls; a name appears only when its image is complete and
// unpacked, and is then pinned against garbage collection; a bad archive is one Problem that names file, cause and cure,
// and delays no other; removing an archive removes neither image nor pin, replacing it unpins what it named before.
// Start reading at Importer.Run, then Importer.pass.
package images
