package endpoint

import (
	"net/http"
	"net/url"
	"strconv"
)

const (
	// longest is how long a watch lasts on the way to a server, in seconds, and stretch how many times as long as its client asks
	// for: five to ten minutes become one to two hours.
	longest, stretch = 7200, 12
)

// onWire gives a request as it goes to a server on another machine. A watch of the node's own components lasts longer than they
// ask for, and does not report each minute that nothing has happened. Without these reports they may have to list anew what they
// missed while no server was in reach: one answer, instead of one each minute.
func onWire(r *http.Request) url.URL {
	target := *r.URL
	query := target.Query()
	if !isWatch(r) || Caller(r.Context()) == "" || query.Has("sendInitialEvents") { // whose beginning ends with a report
		return target
	}
	query.Del("allowWatchBookmarks")
	if seconds, err := strconv.Atoi(query.Get("timeoutSeconds")); err == nil && seconds > 0 {
		query.Set("timeoutSeconds", strconv.Itoa(min(seconds*stretch, longest)))
	}
	target.RawQuery = query.Encode()
	return target
}
