package tunnel

import "time"

const (
	// firstPause and firstSpread make the pause after a loss: all nodes lose a server at the same moment, and each comes
	// back with a TLS handshake, which is what costs.
	firstPause, firstSpread = 500 * time.Millisecond, 1500 * time.Millisecond
	// longestPause bounds the pauses that follow.
	longestPause = 15 * time.Second
	// settled is the age of a tunnel whose end is not taken for another failure in a row.
	settled = 30 * time.Second
	// handshakePatience bounds a node's way to its tunnel: connecting, TLS, websocket.
	handshakePatience = 10 * time.Second
)

// pause is the wait before attempt number n, which counts from zero; chance is from [0, 1). Without a server it grows,
// by chance between half of the next step and the whole of it.
func pause(n int, chance float64) time.Duration {
	if n == 0 {
		return firstPause + time.Duration(chance*float64(firstSpread))
	}
	step := longestPause
	if n < 5 {
		step = min(step, (firstPause+firstSpread)<<n)
	}
	return step/2 + time.Duration(chance*float64(step/2))
}
