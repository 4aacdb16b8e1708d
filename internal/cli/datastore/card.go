package datastore

import (
	"strconv"
	"strings"

	"github.com/skerry-io/skerry/internal/fault"
	"github.com/skerry-io/skerry/internal/status"
)

// card is how long one lives.
type card struct {
	Endurance int64 `json:"endurance"` // in bytes
	// Days is endurance by what is written on a day, by this datastore alone; absent while nothing was written.
	Days int64 `json:"days,omitempty"`
}

// longestLife bounds what is worth telling, in days.
const longestLife = 365 * 1000

// life is endurance divided by what is written on a day.
func life(w *status.Written, endurance int64) *card {
	if endurance == 0 {
		return nil
	}
	c := &card{Endurance: endurance}
	if w != nil && w.PerDay > 0 {
		c.Days = min(endurance/w.PerDay, longestLife)
	}
	return c
}

// parseEndurance reads what a data sheet says: a number and MB, GB, TB or PB, in powers of ten; a W behind it is for "written".
func parseEndurance(text string) (bytes int64, err error) {
	if text == "" {
		return 0, nil
	}
	wrong := fault.New("card-endurance %q is no amount that can be written", text).Fix("write it as the data sheet does, for example 30TBW or 500GB")
	number := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(text)), "W")
	for unit, size := range map[string]float64{"MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15} {
		digits, is := strings.CutSuffix(number, unit)
		if !is {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || !(n > 0) || n*size > 1e18 {
			return 0, wrong
		}
		return int64(n * size), nil
	}
	return 0, wrong
}
