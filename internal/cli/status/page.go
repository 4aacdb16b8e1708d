package status

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/skerry-io/skerry/internal/run"
	"github.com/skerry-io/skerry/internal/status"
)

// colour is the terminal's name of one.
type colour string

const (
	plain  colour = ""
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

func colourOf(c status.Condition) colour {
	switch c {
	case status.Up:
		return green
	case status.Starting, status.Stopping:
		return yellow
	}
	return red
}

func colourOfPhase(phase run.Phase) colour {
	switch phase {
	case run.Ready:
		return green
	case run.Failed, run.Paused:
		return red
	}
	return yellow
}

// paint gives text a colour where colours are shown.
func (p page) paint(c colour, text string) string {
	if !p.colour || c == plain {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// gap stands between columns.
const gap = 2

// table aligns rows, of which the first is the head; "" when that is all. The last column is as long as it is. An empty
// cell is shown as "-", but at the end of a row.
func (p page) table(rows [][]string) string {
	if len(rows) < 2 {
		return ""
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = oneLine(cell); row[i] == "" && i < len(row)-1 {
				row[i] = "-"
			}
			widths[i] = max(widths[i], letters(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-letters(cell)+gap))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// list shows items in as many columns as the page has room for, behind a title; "" when there are none.
func (p page) list(title string, items []string) string {
	if len(items) == 0 {
		return ""
	}
	width := 0
	for _, item := range items {
		width = max(width, utf8.RuneCountInString(item)+gap)
	}
	title += ":"
	indent := utf8.RuneCountInString(title) + 1
	each := max(1, (p.columns-indent)/width)
	var b strings.Builder
	for i := 0; i < len(items); i += each {
		line := fmt.Sprintf("%-*s", indent, title)
		for _, item := range items[i:min(i+each, len(items))] {
			line += fmt.Sprintf("%-*s", width, item)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		title = ""
	}
	return b.String()
}

// letters counts what is seen of a text: not the colours.
func letters(text string) int {
	count, inside := 0, false
	for _, letter := range text {
		switch {
		case letter == '\x1b':
			inside = true
		case inside:
			inside = letter != 'm'
		default:
			count++
		}
	}
	return count
}

// oneLine is a text whose line breaks and runs of spaces are one space each.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
