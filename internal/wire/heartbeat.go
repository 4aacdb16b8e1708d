package wire

import (
	"encoding/binary"
	"errors"
	"time"
)

// Heartbeat is the word of a node that renews its lease and changes nothing else in it.
type Heartbeat struct {
	RenewTime time.Time // by the node's clock, as in the lease; microseconds count
	Version   uint64    // resource version of the lease that the node knows
}

// heartbeat is the first byte of the word; others are free.
const heartbeat = 1

var errHeartbeat = errors.New("this is no heartbeat")

// Word is its form on the way: as short as may be, because it is said every ten seconds for as long as the node lives.
func (h Heartbeat) Word() []byte {
	word := binary.AppendUvarint([]byte{heartbeat}, uint64(h.RenewTime.UnixMicro()))
	return binary.AppendUvarint(word, h.Version)
}

// ReadHeartbeat reads a word.
func ReadHeartbeat(word []byte) (Heartbeat, error) {
	if len(word) == 0 || word[0] != heartbeat {
		return Heartbeat{}, errHeartbeat
	}
	at, n := binary.Uvarint(word[1:])
	if n <= 0 {
		return Heartbeat{}, errHeartbeat
	}
	version, m := binary.Uvarint(word[1+n:])
	if m <= 0 || 1+n+m != len(word) {
		return Heartbeat{}, errHeartbeat
	}
	return Heartbeat{RenewTime: time.UnixMicro(int64(at)), Version: version}, nil
}

// Renewed is the answer of a server that has renewed the lease: its resource version now.
func Renewed(version uint64) []byte { return binary.AppendUvarint(nil, version) }

// ReadRenewed reads an answer; anything else than a resource version, such as nothing, is a refusal.
func ReadRenewed(answer []byte) (version uint64, renewed bool) {
	version, n := binary.Uvarint(answer)
	return version, n > 0 && n == len(answer)
}
