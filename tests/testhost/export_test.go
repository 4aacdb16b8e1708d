package testhost

// ID is the name of everything that the lab makes.
func (l *Lab) ID() string { return l.id }
