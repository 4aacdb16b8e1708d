package run

import "errors"

// Wanted is an error by which a service ends the node on purpose, for example because all of it has to start over.
type Wanted interface {
	error
	// Wanted says that it is meant so.
	Wanted() bool
}

// Afresh is an error after which the program is to be run once more, in place.
type Afresh interface {
	Wanted
	// Afresh says that it is.
	Afresh() bool
}

// StartsOver says that a node ended to begin anew.
func StartsOver(err error) bool {
	var afresh Afresh
	return errors.As(err, &afresh) && afresh.Afresh()
}

// Failure is the error unless it is wanted; nil then, and when there is none.
func Failure(err error) error {
	var wanted Wanted
	if errors.As(err, &wanted) && wanted.Wanted() {
		return nil
	}
	return err
}
