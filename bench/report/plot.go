package report

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Plot is a picture of several series over the same groups: bars side by
// side, or with Lines one line a series.
type Plot struct {
	Title  string
	YLabel string   // what is measured, and in which unit
	XLabel string   // what the groups are; may be empty
	Groups []string // one place on the x axis each, evenly spaced
	Series []Series
	Log    bool // y axis in powers of ten; else from zero
	Lines  bool
}

// Series is one colour of a Plot. Values[i] belongs to Groups[i]; NaN is left
// out. Low and High, where given, are drawn as whiskers.
type Series struct {
	Name      string
	Values    []float64
	Low, High []float64
}

// The picture's measures, in SVG units.
const (
	plotWidth  = 860
	plotHeight = 420
	plotLeft   = 80
	plotTop    = 44
	plotRight  = 200 // the legend's room
	plotBottom = 56
)

// palette is Okabe and Ito's, which colour-blind readers tell apart.
func palette(i int) string {
	c := []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000"}
	return c[i%len(c)]
}

// SVG draws the plot as one self-contained SVG document.
func (p Plot) SVG() string {
	d := &drawing{Plot: p}
	d.low, d.high = p.limits()
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	d.printf(`<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, plotHeight)
	d.text(label{x: plotLeft, y: 22, anchor: "start", extra: `font-size="15"`}, p.Title)
	d.axes()
	for i, s := range p.Series {
		d.series(i, s)
		d.legend(i, s.Name)
	}
	d.printf("</svg>\n")
	return d.String()
}

// limits returns the ends of the y axis.
func (p Plot) limits() (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, s := range p.Series {
		for _, vs := range [][]float64{s.Values, s.Low, s.High} {
			for _, v := range vs {
				if drawable(v) && (v > 0 || !p.Log) {
					low, high = min(low, v), max(high, v)
				}
			}
		}
	}
	switch {
	case math.IsInf(high, -1):
		return 1, 10
	case p.Log:
		low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
		return low, max(high, 10*low)
	}
	step := tickStep(high)
	return 0, max(math.Ceil(high/step)*step, step)
}

func drawable(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// tickStep is 1, 2 or 5 times a power of ten, for four to ten ticks.
func tickStep(high float64) float64 {
	if high <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(high)))
	switch n := high / unit; {
	case n < 2:
		return unit / 5
	case n < 5:
		return unit / 2
	}
	return unit
}

// drawing is a Plot on its way to SVG.
type drawing struct {
	Plot
	strings.Builder
	low, high float64
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// label is where and how a text stands.
type label struct {
	x, y   float64
	anchor string
	extra  string
}

func (d *drawing) text(l label, s string) {
	d.printf(`<text x="%.1f" y="%.1f" text-anchor="%s" %s>%s</text>`+"\n", l.x, l.y, l.anchor, l.extra, html.EscapeString(s))
}

// y places a value.
func (d *drawing) y(v float64) float64 {
	share := (v - d.low) / (d.high - d.low)
	if d.Log {
		share = math.Log10(max(v, d.low)/d.low) / math.Log10(d.high/d.low)
	}
	return plotHeight - plotBottom - share*(plotHeight-plotTop-plotBottom)
}

// slot is the width of one group.
func (d *drawing) slot() float64 {
	return (plotWidth - plotLeft - plotRight) / float64(max(len(d.Groups), 1))
}

func (d *drawing) axes() {
	if d.Log {
		for v := d.low; v <= d.high*1.001; v *= 10 {
			d.tick(v)
		}
	} else {
		step := tickStep(d.high)
		for i := 0; float64(i)*step <= d.high*1.001; i++ {
			d.tick(float64(i) * step)
		}
	}
	for i, g := range d.Groups {
		d.text(label{x: plotLeft + (float64(i)+0.5)*d.slot(), y: plotHeight - plotBottom + 18, anchor: "middle"}, g)
	}
	d.text(label{x: plotLeft + float64(len(d.Groups))*d.slot()/2, y: plotHeight - 12, anchor: "middle"}, d.XLabel)
	middle := (plotTop + plotHeight - plotBottom) / 2.0
	d.text(label{x: 18, y: middle, anchor: "middle", extra: fmt.Sprintf(`transform="rotate(-90 18 %.1f)"`, middle)}, d.YLabel)
}

func (d *drawing) tick(v float64) {
	y := d.y(v)
	d.printf(`<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#dddddd"/>`+"\n", plotLeft, y, plotWidth-plotRight, y)
	d.text(label{x: plotLeft - 6, y: y + 4, anchor: "end"}, number(v))
}

// number prints an axis value short: 1500 as 1.5k, 2000000 as 2M.
func number(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.size {
			return strconv.FormatFloat(v/u.size, 'g', 4, 64) + u.name
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

func (d *drawing) series(i int, s Series) {
	var points []string
	for g := range min(len(s.Values), len(d.Groups)) {
		if !drawable(s.Values[g]) {
			continue
		}
		x, y := d.place(i, g), d.y(s.Values[g])
		if d.Lines {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
			d.printf(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", x, y, palette(i))
		} else {
			w := d.barWidth()
			d.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x-w/2, y, w, plotHeight-plotBottom-y, palette(i))
		}
		d.whisker(x, s, g)
	}
	if len(points) > 0 {
		d.printf(`<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), palette(i))
	}
}

// barWidth leaves a fifth of every group empty.
func (d *drawing) barWidth() float64 { return 0.8 * d.slot() / float64(len(d.Series)) }

// place is the x of series i in group g.
func (d *drawing) place(i, g int) float64 {
	middle := plotLeft + (float64(g)+0.5)*d.slot()
	if d.Lines {
		return middle
	}
	return middle + (float64(i)-float64(len(d.Series)-1)/2)*d.barWidth()
}

func (d *drawing) whisker(x float64, s Series, g int) {
	if g >= len(s.Low) || g >= len(s.High) || !drawable(s.Low[g]) || !drawable(s.High[g]) {
		return
	}
	d.printf(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#333333"/>`+"\n", x, d.y(s.Low[g]), x, d.y(s.High[g]))
}

func (d *drawing) legend(i int, name string) {
	x, y := float64(plotWidth-plotRight+16), float64(plotTop+20*i)
	d.printf(`<rect x="%.1f" y="%.1f" width="12" height="12" fill="%s"/>`+"\n", x, y, palette(i))
	d.text(label{x: x + 18, y: y + 10, anchor: "start"}, name)
}
