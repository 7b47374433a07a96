package iscdhcpd

import (
	"errors"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/compat"
)

// define reads "option NAME code N = TYPE", of which the simple types are
// known.
func (r *reader) define(st statement) {
	code, err := strconv.ParseUint(st.word(3), 10, 16)
	var kind []string
	if len(st.words) > 5 {
		for _, w := range st.words[5:] {
			kind = append(kind, strings.ToLower(w.text))
		}
	}
	k, ok := kindOf(strings.Join(kind, " "), st.isBlock)
	if err != nil || !ok {
		r.Note(st.Place, "%s is not carried: this type of option is not known", st.text())
		return
	}
	if k == compat.Int8 && (code == 121 || code == 249) {
		k = compat.Routes4
	}
	r.custom[st.word(1)] = compat.Definition{Code: uint16(code), Kind: k}
}

func kindOf(text string, record bool) (compat.Kind, bool) {
	text = strings.TrimPrefix(text, "array of ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, "unsigned "), "signed ")
	kinds := map[string]compat.Kind{
		"integer 8": compat.Int8, "integer 16": compat.Int16, "integer 32": compat.Int32,
		"ip-address": compat.Addrs4, "ip6-address": compat.Addrs6, "boolean": compat.Flag,
		"text": compat.Text, "string": compat.Bytes, "domain-name": compat.Domains, "domain-list": compat.Domains,
	}
	k, ok := kinds[text]
	return k, ok && !record
}

// value puts an option's bytes into the settings, or says why it cannot.
func (r *reader) value(into settings, o pending) {
	name, six := strings.CutPrefix(o.name, "dhcp6.")
	definition, ok := r.custom[o.name]
	switch {
	case ok:
	case six:
		definition, ok = compat.Named(compat.Definitions6(), name)
	default:
		definition, ok = compat.Named(compat.Definitions4(), name)
	}
	if !ok {
		r.Note(o.Place, "option %s is not carried: this option is not known", o.name)
		return
	}
	var values []string
	for _, v := range o.values {
		if !v.is(",") {
			values = append(values, v.text)
		}
	}
	data, err := definition.Kind.Encode(values)
	if definition.Kind == compat.Text && len(values) > 1 {
		err = errors.New("want one text and a semicolon")
	}
	if err != nil {
		r.Note(o.Place, "option %s is not carried: %v", o.name, err)
		return
	}
	option := compat.Option{Code: definition.Code, Data: data, Place: o.Place}
	if six {
		into.options6[option.Code] = option
	} else {
		into.options4[option.Code] = option
	}
}
