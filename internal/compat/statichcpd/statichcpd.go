// Package statichcpd turns what statichcpd 3.09 reads, its configuration, its
// lists of attributes and the rows of its database, into bindings that answer
// as it did. docs/statichcpd.md says what is different, and why.
//
// Not here: the database file (source/statichcpd), and what becomes of the
// bindings (table).
package statichcpd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Source is the name of the source in a binding's origin.
const Source = "statichcpd"

// Row is one row of client_configuration or, if V6, client_v6configuration.
type Row struct {
	Interface string
	Group     string // groupID
	HasGroup  bool   // false: NULL, or a database without the column
	Client    string // column mac or duid
	Code      int    // attr_code
	NoCode    bool   // attr_code is no number but CodeText
	CodeText  string
	Value     any   // attr_val: int64, float64, string, []byte or nil
	TooLong   int64 // the length in bytes of an attr_val that was not read; 0: it is in Value
	RowID     int64
	V6        bool
}

// Result is what all rows say.
type Result struct {
	Bindings []nic.Binding      // sorted by NIC
	Problems []manifest.Problem // each costs its NIC
	// Notes are what was repaired or left out, and costs nothing.
	Notes []manifest.Problem
	Names []string // the NICs with a problem, sorted
	// Unusable: the problems are of the configuration, and nothing is known of
	// any NIC.
	Unusable bool
}

// Build makes a binding of each interface's rows. A mistake costs its own
// interface only. Problems have the database as their file and the rowid as
// their line.
func Build(rows []Row, cfg Config, attrs Attributes) Result {
	var r Result
	b, problems := newBuilder(cfg, attrs)
	if len(problems) > 0 {
		r.Problems, r.Unusable = problems, true
		return r
	}
	byNIC := b.served(rows, &r)
	for _, name := range sortedKeys(byNIC) {
		b.nic(name, byNIC[name], &r)
	}
	return r
}

// builder is what all interfaces share.
type builder struct {
	cfg      Config
	attrs    Attributes
	template nic.Binding // every default
	fields4  []field
	fields6  []field
}

func newBuilder(cfg Config, attrs Attributes) (*builder, []manifest.Problem) {
	t, problems := template(cfg)
	return &builder{cfg: cfg, attrs: attrs, template: t, fields4: fields4(), fields6: fields6()}, problems
}

// served sorts the rows by interface and counts those that no interface of the
// configuration has.
func (b *builder) served(rows []Row, r *Result) map[string][]Row {
	byNIC, skipped := map[string][]Row{}, map[string]bool{}
	var nameless []Row
	for _, row := range rows {
		if strings.TrimSpace(row.Interface) == "" {
			nameless = append(nameless, row)
			continue
		}
		if b.cfg.Interfaces != nil && !b.cfg.Interfaces.MatchString(row.Interface) {
			skipped[row.Interface] = true
			continue
		}
		byNIC[row.Interface] = append(byNIC[row.Interface], row)
	}
	if n := len(skipped); n > 0 {
		r.Notes = append(r.Notes, manifest.Problem{
			File: b.cfg.Database, Field: "served_interface_regex", Value: b.cfg.Interfaces.String(),
			Text: fmt.Sprintf("%d interfaces do not match and are not served, such as %s", n, sortedKeys(skipped)[0]),
		})
	}
	if len(nameless) > 0 {
		first := nameless[0]
		r.Problems = append(r.Problems, manifest.Problem{
			File: b.cfg.Database, Line: int(first.RowID), Column: 1, Field: first.table() + ".ifname",
			Text: fmt.Sprintf("empty or NULL: %d such rows are of no interface; nobody is answered by them", len(nameless)),
		})
	}
	return byNIC
}

func (b *builder) nic(name string, rows []Row, r *Result) {
	slices.SortStableFunc(rows, func(x, y Row) int { return cmp.Compare(x.RowID, y.RowID) })
	c := client{builder: b, rows: rows, b: b.template}
	c.b.NIC = name
	if c.b.Network == ownNetwork {
		c.b.Network = name
	}
	c.b.Origin = nic.Origin{Source: Source, File: b.cfg.Database, Line: int(rows[0].RowID)}
	c.build()
	r.Notes = append(r.Notes, c.notes...)
	if len(c.problems) == 0 {
		r.Bindings = append(r.Bindings, c.b)
		return
	}
	r.Problems = append(r.Problems, c.problems...)
	if nic.ValidName(name) {
		r.Names = append(r.Names, name)
	}
}
