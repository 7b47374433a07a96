package statichcpd

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// client is one interface's rows on the way to its binding.
type client struct {
	*builder
	rows   []Row // of both tables, by rowid
	b      nic.Binding
	v4, v6 map[int][]value // by code
	done   []int           // codes that went as options because their key did not take them

	problems, notes []manifest.Problem
}

// build fills the binding, or notes why there is none.
func (c *client) build() {
	c.group()
	c.identity()
	c.v4, c.v6 = map[int][]value{}, map[int][]value{}
	for i := range c.rows {
		c.take(&c.rows[i])
	}
	if len(c.problems) > 0 {
		return // what is only missing would be told beside
	}
	c.ipv4()
	c.ipv6()
	c.check()
}

// problemAt places a problem at a row.
func (c *client) problemAt(row *Row, format string, args ...any) manifest.Problem {
	p := manifest.Problem{File: c.cfg.Database, NIC: c.b.NIC, Text: fmt.Sprintf(format, args...)}
	if row != nil {
		p.Line, p.Column = int(row.RowID), 1
		p.Field = fmt.Sprintf("%s.attr_code %d", row.table(), row.Code)
		p.Value = printed(row.Value)
	}
	return p
}

func (c *client) fail(row *Row, format string, args ...any) {
	c.problems = append(c.problems, c.problemAt(row, format, args...))
}

func (c *client) note(row *Row, format string, args ...any) {
	c.notes = append(c.notes, c.problemAt(row, format, args...))
}

// failColumn is about another column than attr_val.
func (c *client) failColumn(row *Row, column, value, format string, args ...any) {
	p := c.problemAt(row, format, args...)
	p.Field, p.Value = row.table()+"."+column, value
	c.problems = append(c.problems, p)
}

func (r *Row) table() string {
	if r.V6 {
		return "client_v6configuration"
	}
	return "client_configuration"
}

func (r *Row) idColumn() string {
	if r.V6 {
		return "duid"
	}
	return "mac"
}

func printed(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// group takes the interface's group and leaves out rows that have none beside
// it: they are of the time before, and statichcpd finds them no more.
func (c *client) group() {
	var first *Row
	for i := range c.rows {
		row := &c.rows[i]
		switch {
		case !row.grouped():
		case first == nil:
			first, c.b.Group = row, strings.TrimSpace(row.Group)
		case c.b.Group != strings.TrimSpace(row.Group):
			c.failColumn(row, "groupID", row.Group, "the interface is also in group %q (rowid %d); it can be in one", first.Group, first.RowID)
			return
		}
	}
	if first == nil {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(c.rows), func(r Row) bool { return !r.grouped() })
	if n := len(c.rows) - len(kept); n > 0 {
		c.note(nil, "%d rows have no groupID beside others of group %q and are not served", n, c.b.Group)
	}
	c.rows = kept
}

func (r *Row) grouped() bool { return r.HasGroup && strings.TrimSpace(r.Group) != "" }

// identity finds the one MAC of the interface's guest, and the DUID if it is
// known by that.
func (c *client) identity() {
	var mac, duid *identifier
	for i := range c.rows {
		row := &c.rows[i]
		id, err := c.id(row)
		if err != nil {
			c.failColumn(row, row.idColumn(), row.Client, "%v", err)
			return
		}
		have := &mac
		if id.isDUID {
			have = &duid
		}
		switch {
		case *have == nil:
			*have = &id
		case (*have).key != id.key:
			other := (*have).row
			c.failColumn(row, row.idColumn(), row.Client, "the interface also has the client %s (%s, rowid %d); a NIC has one", other.Client, other.table(), other.RowID)
			return
		}
	}
	c.known(mac, duid)
}

// known takes the identity. The MAC in a DUID can be that of another NIC of the
// guest, so a MAC that stands by itself wins.
func (c *client) known(mac, duid *identifier) {
	if duid != nil {
		c.duid(duid)
	}
	switch {
	case mac != nil:
		c.b.MAC = mac.mac
	case duid.mac.IsZero():
		c.failColumn(duid.row, "duid", duid.row.Client, "the MAC of the guest cannot be told from it; add a row to client_configuration, or use_mac_as_client_duid")
	default:
		c.b.MAC = duid.mac
	}
}

// duid restricts DHCPv6 to the client that is named, where that can be told.
func (c *client) duid(id *identifier) {
	c.b.DHCP6.DUID = id.duid
	if id.duid == nil {
		p := c.problemAt(id.row, "which DUID this stands for cannot be told; the NIC's guest is answered whatever its DUID")
		p.Field, p.Value = id.row.table()+".duid", id.row.Client
		c.notes = append(c.notes, p)
	}
}

// identifier is what a row's mac or duid says.
type identifier struct {
	row    *Row
	key    string  // the same for the same client
	mac    nic.MAC // zero: not known
	isDUID bool
	duid   []byte // nil: not to be told
}

func (c *client) id(row *Row) (identifier, error) {
	if row.V6 && !c.cfg.UseMACAsDUID {
		id, err := duidOf(row.Client)
		id.row = row
		return id, err
	}
	m, err := nic.ParseMAC(strings.TrimSpace(row.Client))
	if err != nil {
		return identifier{}, errors.New("not a MAC address; want six octets like 52:54:00:aa:00:01")
	}
	return identifier{row: row, key: string(m[:]), mac: m}, nil
}

// duidOf reads the text that statichcpd makes of a DUID: type and hardware
// type in decimal without anything between, and the link-layer address. That
// of a DUID-LLT or DUID-LL on Ethernet can be told; all others are decimal
// words that run together.
func duidOf(s string) (identifier, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" || strings.Trim(s, "0123456789abcdef") != "" {
		return identifier{}, errors.New("not a DUID as statichcpd writes it, such as 11020000000001; is use_mac_as_client_duid meant to be true?")
	}
	id := identifier{key: s, isDUID: true}
	const llt, ll, ethernet = '1', '3', '1'
	if len(s) != 14 || s[0] != llt && s[0] != ll || s[1] != ethernet {
		return id, nil
	}
	if _, err := hex.Decode(id.mac[:], []byte(s[2:])); err != nil {
		return id, err
	}
	id.duid = []byte{0, s[0] - '0', 0, 1}
	if s[0] == llt {
		id.duid = append(id.duid, 0, 0, 0, 0) // the time does not count
	}
	id.duid = append(id.duid, id.mac[:]...)
	return id, nil
}

// take reads one row.
func (c *client) take(row *Row) {
	if row.NoCode {
		c.failColumn(row, "attr_code", row.CodeText, "must be a number")
		return
	}
	a, known := c.attrs.of(row.V6, row.Code)
	if !known {
		c.fail(row, "not an allowed attribute; add it to %s", attributeKey(row.V6))
		return
	}
	if row.TooLong > 0 {
		c.fail(row, "%d bytes: longer than any option", row.TooLong)
		return
	}
	into := c.v4
	if row.V6 {
		into = c.v6
	}
	have := into[row.Code]
	for _, v := range have { // without a group the database does not see to it
		if printed(v.row.Value) == printed(row.Value) {
			c.note(row, "the same as rowid %d", v.row.RowID)
			return
		}
	}
	if len(have) >= a.Max {
		c.fail(row, "a client has at most %d of it; the one before is rowid %d", a.Max, have[len(have)-1].row.RowID)
		return
	}
	v, err := a.Type.read(row, !c.cfg.DisableIAID)
	if err != nil {
		c.fail(row, "%v", err)
		return
	}
	into[row.Code] = append(into[row.Code], v)
}

func attributeKey(v6 bool) string {
	if v6 {
		return "additional_v6attributes_file"
	}
	return "additional_attributes_file"
}
