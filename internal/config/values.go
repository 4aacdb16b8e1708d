package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// FileMode is the permission bits of a file, written in octal, for example 0600.
type FileMode uint32

// UnmarshalText reads octal digits, with or without a leading 0 or 0o.
func (m *FileMode) UnmarshalText(text []byte) error {
	digits := strings.TrimPrefix(string(text), "0o")
	bits, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || bits > 0o777 {
		return errors.New("is not a file mode; write octal digits up to 0777, for example 0600")
	}
	*m = FileMode(bits)
	return nil
}

// String is four octal digits.
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// MarshalText is String, for encoders.
func (m FileMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// PortRange is a range of TCP or UDP ports, both ends included. The zero value is no range.
type PortRange struct {
	First, Last int
}

// UnmarshalText reads FIRST-LAST.
func (r *PortRange) UnmarshalText(text []byte) error {
	wrong := errors.New("is not a port range; write FIRST-LAST, for example 30000-32767")
	low, high, found := strings.Cut(string(text), "-")
	if !found {
		return wrong
	}
	first, err := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	if err != nil {
		return wrong
	}
	last, err := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if err != nil || first == 0 || last < first {
		return wrong
	}
	*r = PortRange{First: int(first), Last: int(last)}
	return nil
}

// Contains reports whether port is in the range.
func (r PortRange) Contains(port int) bool { return port >= r.First && port <= r.Last }

// String is FIRST-LAST.
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// MarshalText is String, for encoders.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
