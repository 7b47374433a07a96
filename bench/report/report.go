// Package report turns the samples of a benchmark into what the
// documentation shows: medians and percentiles, markdown tables, SVG plots.
// Not here: measuring, and any file: everything is returned.
package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Median returns the middle of v, or the mean of the two middles, in v's
// unit; NaN if v is empty. v stays as it is.
func Median(v []float64) float64 { return Percentile(v, 50) }

// Percentile returns the value under which p percent (0 to 100) of v lie,
// interpolated between neighbours, in v's unit; NaN if v is empty. v stays as
// it is.
func Percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(v))
	at := min(max(p, 0), 100) / 100 * float64(len(s)-1)
	low := int(at)
	high := min(low+1, len(s)-1)
	return s[low] + (at-float64(low))*(s[high]-s[low])
}

// Spread is a sample in three numbers, in the sample's unit.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// SpreadOf sums v up; all NaN if v is empty.
func SpreadOf(v []float64) Spread {
	return Spread{Median: Median(v), Min: Percentile(v, 0), Max: Percentile(v, 100)}
}

// Format prints median (min to max) with a number of digits after the point.
func (s Spread) Format(digits int) string {
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

// Table prints a markdown table. The first column stands left, the others,
// which are numbers, right; a row shorter than head is filled up with empty
// cells.
func Table(head []string, rows [][]string) string {
	var b strings.Builder
	writeRow(&b, head, len(head))
	b.WriteString("|---|" + strings.Repeat("--:|", len(head)-1) + "\n")
	for _, r := range rows {
		writeRow(&b, r, len(head))
	}
	return b.String()
}

func writeRow(b *strings.Builder, cells []string, columns int) {
	b.WriteString("|")
	for i := range columns {
		cell := ""
		if i < len(cells) {
			cell = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		b.WriteString(" " + cell + " |")
	}
	b.WriteString("\n")
}
