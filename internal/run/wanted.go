package run

import "errors"

// Wanted is an error by which a service ends the node on purpose, for example because all of it has to start over.
type Wanted interface {
	error
	// Wanted says that it is meant so.
	Wanted() bool
}

// Failure is the error unless it is wanted; nil then, and when there is none.
func Failure(err error) error {
	var wanted Wanted
	if errors.As(err, &wanted) && wanted.Wanted() {
		return nil
	}
	return err
}
