package dnsmasq

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
)

// option is a dhcp-option, for clients that have all its tags.
type option struct {
	line
	six    bool
	tags   []string
	kind   compat.Definition
	values []string
}

// boot is a dhcp-boot likewise.
type boot struct {
	compat.Place
	tags []string
	boot compat.Boot
}

// matches reports whether a client with these tags is meant; tag:!x is for
// those without.
func matches(want, have []string) bool {
	for _, w := range want {
		name, not := strings.CutPrefix(w, "!")
		if slices.Contains(have, name) == not {
			return false
		}
	}
	return true
}

// cutTags takes the tags in front.
func cutTags(parts []string) (tags, rest []string) {
	for i, p := range parts {
		tag, ok := strings.CutPrefix(p, "tag:")
		if !ok {
			if tag, ok = strings.CutPrefix(p, "net:"); !ok {
				return tags, parts[i:]
			}
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

func (r *reader) optionLine(l line) {
	o := option{line: l}
	tags, rest := cutTags(l.parts())
	o.tags = tags
	if len(rest) == 0 {
		r.Note(l.Place, "%s is not carried: it names no option", text(l))
		return
	}
	for _, encapsulated := range []string{"encap:", "vi-encap:", "vendor:", "cpewan:"} {
		if strings.HasPrefix(rest[0], encapsulated) {
			r.Note(l.Place, "%s is not carried: options of a vendor's own space have no key", text(l))
			return
		}
	}
	var ok bool
	if o.kind, o.six, ok = named(rest[0]); !ok {
		r.Note(l.Place, "%s is not carried: this option is not known", text(l))
		return
	}
	o.values = rest[1:]
	r.options = append(r.options, o)
}

// named finds an option: 42, option:ntp-server, option6:24, option6:dns-server.
func named(s string) (d compat.Definition, six, ok bool) {
	list := compat.Definitions4()
	name, found := strings.CutPrefix(s, "option:")
	if !found {
		if name, six = strings.CutPrefix(s, "option6:"); six {
			list = compat.Definitions6()
		}
	}
	if code, err := strconv.ParseUint(name, 10, 16); err == nil {
		d, _ = compat.Numbered(list, uint16(code))
		return d, six, true
	}
	d, ok = compat.Named(list, strings.ToLower(name))
	if !ok {
		d, ok = compat.Named(list, name)
	}
	return d, six, ok && (found || six)
}

func (r *reader) bootLine(l line) {
	b := boot{Place: l.Place}
	tags, rest := cutTags(l.parts())
	b.tags = tags
	for i, p := range rest {
		switch i {
		case 0:
			b.boot.File = p
		case 1:
			b.boot.ServerName = p
		case 2:
			a, err := netip.ParseAddr(p)
			if err != nil {
				r.Note(l.Place, "%s: %q is not an address; names are not looked up", text(l), p)
			}
			b.boot.NextServer = a
		}
	}
	r.boots = append(r.boots, b)
}

// chosen are the options of a host: one with tags wins over one without, and
// the later of two alike. own is dnsmasq's address, for which 0.0.0.0 stands.
func (r *reader) chosen(six bool, tags []string, own netip.Addr) compat.Options {
	out := compat.Options{}
	for _, tagged := range []bool{false, true} {
		for _, o := range r.options {
			if o.six == six && len(o.tags) > 0 == tagged && matches(o.tags, tags) {
				r.choose(out, o, own)
			}
		}
	}
	return out
}

func (r *reader) choose(into compat.Options, o option, own netip.Addr) {
	wire := compat.Option{Code: o.kind.Code, Place: o.Place}
	if len(o.values) == 0 { // the default is not sent either
		into[wire.Code] = wire
		return
	}
	values := slices.Clone(o.values)
	for i, v := range values {
		if v = strings.Trim(v, "[]"); v == "0.0.0.0" || v == "::" {
			if !own.IsValid() {
				r.Note(o.Place, "%s is not carried: it stands for dnsmasq's own address, which is not in the file", text(o.line))
				return
			}
			values[i] = own.String()
		}
	}
	data, err := encode(o.kind, values)
	if err != nil {
		r.Note(o.Place, "%s is not carried: %v", text(o.line), err)
		return
	}
	wire.Data = data
	into[wire.Code] = wire
}

// encode guesses, as dnsmasq does, what the values of an unknown option are.
func encode(d compat.Definition, values []string) ([]byte, error) {
	kind := d.Kind
	if kind == compat.Bytes {
		if data, ok := numeral(values); ok {
			return data, nil
		}
		kind = guess(values)
	}
	if kind == compat.Bytes {
		values = []string{strings.Join(values, ",")}
	}
	return kind.Encode(values)
}

func guess(values []string) compat.Kind {
	all := func(is func(netip.Addr) bool) bool {
		return !slices.ContainsFunc(values, func(v string) bool {
			a, err := netip.ParseAddr(strings.Trim(v, "[]"))
			return err != nil || !is(a)
		})
	}
	switch {
	case all(netip.Addr.Is4):
		return compat.Addrs4
	case all(netip.Addr.Is6):
		return compat.Addrs6
	}
	return compat.Bytes
}

// numeral reads a number of the size that a letter behind says (b: one byte,
// s: two, i: four), or the least size that holds it.
func numeral(values []string) ([]byte, bool) {
	if len(values) != 1 || values[0] == "" {
		return nil, false
	}
	text, size := values[0], 0
	switch text[len(text)-1] {
	case 'b':
		size = 1
	case 's':
		size = 2
	case 'i':
		size = 4
	}
	if size > 0 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return nil, false
	}
	switch {
	case size > 0:
	case n < 1<<8:
		size = 1
	case n < 1<<16:
		size = 2
	default:
		size = 4
	}
	return binary.BigEndian.AppendUint32(nil, uint32(n))[4-size:], true
}
