package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestPercentile(t *testing.T) {
	v := []float64{40, 10, 30, 20}
	for _, tc := range []struct{ p, want float64 }{
		{-5, 10}, {0, 10}, {50, 25}, {100, 40}, {75, 32.5}, {200, 40},
	} {
		if got := Percentile(v, tc.p); got != tc.want {
			t.Errorf("percentile %v of %v: %v, want %v", tc.p, v, got, tc.want)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing: %v", got)
	}
	if v[0] != 40 {
		t.Error("the sample was sorted in place")
	}
}

func TestSpread(t *testing.T) {
	if got, want := SpreadOf([]float64{3, 1, 2}).Format(1), "2.0 (1.0 to 3.0)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTable(t *testing.T) {
	got := Table([]string{"what", "n"}, [][]string{{"a|b", "1"}, {"c"}})
	want := "| what | n |\n|---|--:|\n| a\\|b | 1 |\n| c |  |\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestPlot draws each kind and holds it to well-formed XML with one mark for
// every value that can be drawn, inside the picture.
func TestPlot(t *testing.T) {
	p := Plot{Title: "a < b", Groups: []string{"1", "10", "100"}, Series: []Series{
		{Name: "x", Values: []float64{1, 30, 1500}, Low: []float64{0.5, 20, 1000}, High: []float64{2, 40, 2000}},
		{Name: "y", Values: []float64{5, math.NaN(), 7}},
	}}
	for _, tc := range []struct {
		lines, log bool
		mark       string
	}{{false, false, "<rect x="}, {false, true, "<rect x="}, {true, false, "<circle"}, {true, true, "<circle"}} {
		p.Lines, p.Log = tc.lines, tc.log
		svg := p.SVG()
		wellFormed(t, svg)
		legend := map[bool]int{false: 2}[tc.lines] // its squares are rects too
		if got := strings.Count(svg, tc.mark); got != 5+legend {
			t.Errorf("lines %v log %v: %d marks, want %d", tc.lines, tc.log, got, 5+legend)
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("lines %v log %v: a coordinate is no number:\n%s", tc.lines, tc.log, svg)
		}
	}
}

func TestPlotOfNothing(t *testing.T) {
	for _, log := range []bool{false, true} {
		svg := Plot{Log: log, Groups: []string{"a"}, Series: []Series{{Name: "x", Values: []float64{math.NaN()}}}}.SVG()
		wellFormed(t, svg)
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("log %v: a coordinate is no number:\n%s", log, svg)
		}
	}
}

func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		values    []float64
		log       bool
		low, high float64
	}{
		{[]float64{97}, false, 0, 100},
		{[]float64{120}, false, 0, 120},
		{[]float64{0.3}, false, 0, 0.3},
		{[]float64{3, 450}, true, 1, 1000},
		{[]float64{1}, true, 1, 10},
		{[]float64{0}, false, 0, 1},
	} {
		low, high := Plot{Log: tc.log, Series: []Series{{Values: tc.values}}}.limits()
		if math.Abs(low-tc.low) > 1e-9 || math.Abs(high-tc.high) > 1e-9 {
			t.Errorf("%v log %v: %v to %v, want %v to %v", tc.values, tc.log, low, high, tc.low, tc.high)
		}
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
	}
}
