package netpol

import (
	"errors"
	"sync"

	networking "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// away is an API server that does not answer.
func away(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("away") }

// forbidden refuses so many times.
func forbidden(mu *sync.Mutex, times *int) clienttesting.ReactionFunc {
	return func(clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		*times--
		if *times < 0 {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(networking.Resource("networkpolicies"), "", errors.New("not yet"))
	}
}
