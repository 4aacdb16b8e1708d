package images

// Origins reads from the file that remembers imports where images come from, by every name that was given to them: the
// archive's file name, or "" for one that was made of a program. What is not in it was pulled, or imported by hand.
func Origins(stateFile string) map[string]string {
	s := loadState(stateFile)
	origins := map[string]string{}
	for file, r := range s.Files {
		for _, image := range r.Images {
			origins[image.Name] = file
		}
	}
	for _, r := range s.Builtins {
		for _, image := range r.Images {
			origins[image.Name] = ""
		}
	}
	return origins
}
