package statichcpd

import (
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// check holds the binding to nic.Validate. What a key does not take goes as an
// option; what is wrong in itself is told at its row.
func (c *client) check() {
	if len(c.problems) > 0 {
		return
	}
	errs := nic.FieldErrors(nic.Validate(&c.b))
	for c.fallBack(errs) {
		errs = nic.FieldErrors(nic.Validate(&c.b))
	}
	columns := map[string]string{"nic": "ifname", "mac": c.rows[0].idColumn(), "group": "groupID"}
	for _, e := range errs {
		if column, ok := columns[e.Field]; ok {
			c.failColumn(&c.rows[0], column, e.Value, "%s", e.Problem)
			continue
		}
		row := c.rowOf(e)
		text := e.Problem
		if row == nil || !row.has(e.Value) {
			text = e.Error()
		}
		c.fail(row, "%s", text)
	}
}

// fallBack makes options of the keys that do not take their values. It reports
// whether there was one.
func (c *client) fallBack(errs []*nic.FieldError) bool {
	changed := false
	for _, e := range errs {
		changed = c.asOption(c.fields4, c.v4, base(e.Field), c.option4) || changed
		changed = c.asOption(c.fields6, c.v6, base(e.Field), c.option6) || changed
	}
	return changed
}

func (c *client) asOption(fields []field, values map[int][]value, key string, option func(int, []byte)) bool {
	for _, f := range fields {
		list := values[f.code]
		if f.key != key || len(list) == 0 || list[0].row == nil || c.moved(f) {
			continue
		}
		f.clear(&c.b)
		c.done = append(c.done, f.code)
		option(f.code, wire(list))
		return true
	}
	return false
}

func (c *client) moved(f field) bool { return slices.Contains(c.done, f.code) }

// base is the key that a path begins with.
func base(path string) string {
	if i := strings.IndexAny(path, "[."); i >= 0 {
		return path[:i]
	}
	return path
}

// rowOf finds the row that a field of the binding was made of: of the codes
// that can be, the one with the value.
func (c *client) rowOf(e *nic.FieldError) *Row {
	if e.Field == "dhcp4.options" || e.Field == "dhcp6" {
		return c.longest(e.Field == "dhcp6")
	}
	codes4, codes6 := c.codesOf(e.Field)
	var first *Row
	for i := range c.rows {
		row := &c.rows[i]
		codes := codes4
		if row.V6 {
			codes = codes6
		}
		if !slices.Contains(codes, row.Code) {
			continue
		}
		if e.Value != "" && row.has(e.Value) {
			return row
		}
		if first == nil {
			first = row
		}
	}
	return first
}

// longest is the row of a table to shorten when all together are too long.
func (c *client) longest(v6 bool) *Row {
	var longest *Row
	for i := range c.rows {
		row := &c.rows[i]
		if row.V6 == v6 && (longest == nil || len(printed(row.Value)) > len(printed(longest.Value))) {
			longest = row
		}
	}
	return longest
}

// has reports whether the row's value has an address or prefix in it, whose
// length may be another row's.
func (r *Row) has(value string) bool {
	addr, _, _ := strings.Cut(value, "/")
	return strings.Contains(printed(r.Value), addr)
}

func (c *client) codesOf(path string) (v4, v6 []int) {
	switch {
	case strings.HasPrefix(path, "addresses"):
		return []int{codeAddress, codeMask}, []int{codeNA, codeTA}
	case strings.HasPrefix(path, "delegated"):
		return nil, []int{codePD}
	case strings.HasPrefix(path, "dhcp4.server-id"):
		return []int{codeServerID}, nil
	case strings.HasPrefix(path, "dhcp4.options["):
		if i := index(path); i < len(c.b.DHCP4.Options) {
			return []int{int(c.b.DHCP4.Options[i].Code)}, nil
		}
	case strings.HasPrefix(path, "dhcp6.options["):
		if i := index(path); i < len(c.b.DHCP6.Options) {
			return nil, []int{int(c.b.DHCP6.Options[i].Code)}
		}
	case strings.HasPrefix(path, "dhcp6.ia"), strings.HasPrefix(path, "dhcp6.temporary"):
		return nil, []int{codeTA, codeNA, codePD}
	case path == "hostname":
		return []int{12}, []int{codeHostFQDN}
	}
	return nil, nil
}

// index is the number in the first brackets of a path.
func index(path string) int {
	_, rest, _ := strings.Cut(path, "[")
	digits, _, _ := strings.Cut(rest, "]")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
