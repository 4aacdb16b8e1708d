package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// JSON prints an answer for programs.
func JSON(out io.Writer, answer any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(answer)
}

// Table prints an answer for people; the first row is the head. An empty cell is shown as "-".
func Table(out io.Writer, rows ...[]string) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			if cell = strings.Join(strings.Fields(cell), " "); cell == "" { // a tab would end the cell
				cell = "-"
			}
			cells[i] = cell
		}
		if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return table.Flush()
}

// Age is how long ago something was, in few letters.
func Age(at time.Time) string { return duration.HumanDuration(time.Since(at)) }

// Size is a number of bytes in few letters.
func Size[N int64 | uint64](bytes N) string {
	value, unit := float64(bytes), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if value < 999.5 { // or it would be 1000 of them
			break
		}
		value, unit = value/1000, next
	}
	if value >= 99.5 || unit == "B" {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
