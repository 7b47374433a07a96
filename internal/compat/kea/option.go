package kea

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
)

// options are those of all levels; an inner one wins.
func (r *reader) options(s scope) compat.Options {
	out := compat.Options{}
	for _, l := range s.levels {
		for _, n := range l.items("option-data") {
			o, err := r.option(n, s)
			if err != nil {
				r.Note(n.Place, "option %s is not carried: %v", name(n), err)
				continue
			}
			out[o.Code] = o
		}
	}
	return out
}

func name(n *node) string {
	if s := n.str("name"); s != "" {
		return s
	}
	return n.str("code")
}

func (r *reader) option(n *node, s scope) (compat.Option, error) {
	o := compat.Option{Place: n.Place}
	if space := n.str("space"); space != "" && space != "dhcp4" && space != "dhcp6" {
		return o, fmt.Errorf("options of the space %s have no key", space)
	}
	if n.get("client-classes") != nil {
		return o, fmt.Errorf("it is for clients of a class, and a binding has none")
	}
	d, err := definition(n, s)
	if err != nil {
		return o, err
	}
	o.Code = d.Code
	data := n.str("data")
	if n.str("csv-format") == "false" || d.Kind == compat.Bytes {
		o.Data, err = octets(data)
		return o, err
	}
	o.Data, err = d.Kind.Encode(fields(data, d.Kind))
	return o, err
}

// fields splits at commas, but for those behind a backslash; a text is one.
func fields(data string, k compat.Kind) []string {
	if k == compat.Text {
		return []string{strings.ReplaceAll(data, `\,`, ",")}
	}
	var out []string
	for f := range strings.SplitSeq(data, ",") {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}

func octets(data string) ([]byte, error) {
	b, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(strings.TrimPrefix(data, "0x")))
	if err != nil {
		return nil, fmt.Errorf("%q is not hexadecimal bytes", data)
	}
	return b, nil
}

// definition is that of option-def, or the standard one.
func definition(n *node, s scope) (compat.Definition, error) {
	for _, l := range s.levels {
		for _, d := range l.items("option-def") {
			if d.str("name") == name(n) || n.get("name") == nil && d.str("code") == n.str("code") {
				return custom(d)
			}
		}
	}
	list := compat.Definitions4()
	if s.six {
		list = compat.Definitions6()
	}
	if n.get("code") != nil {
		code, err := strconv.ParseUint(n.str("code"), 10, 16)
		if err != nil {
			return compat.Definition{}, fmt.Errorf("%q is no code", n.str("code"))
		}
		d, _ := compat.Numbered(list, uint16(code))
		return d, nil
	}
	d, ok := compat.Named(list, n.str("name"))
	if !ok {
		return d, fmt.Errorf("this option is not known")
	}
	return d, nil
}

func custom(d *node) (compat.Definition, error) {
	kinds := map[string]compat.Kind{
		"ipv4-address": compat.Addrs4, "ipv6-address": compat.Addrs6, "uint8": compat.Int8, "int8": compat.Int8,
		"uint16": compat.Int16, "int16": compat.Int16, "uint32": compat.Int32, "int32": compat.Int32,
		"boolean": compat.Flag, "string": compat.Text, "fqdn": compat.Domains, "binary": compat.Bytes,
	}
	code, err := strconv.ParseUint(d.str("code"), 10, 16)
	k, ok := kinds[d.str("type")]
	if err != nil || !ok {
		return compat.Definition{}, fmt.Errorf("its definition, of type %q, is not known", d.str("type"))
	}
	return compat.Definition{Code: uint16(code), Kind: k}, nil
}
