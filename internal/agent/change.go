package agent

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// tellChange leaves the line by which one can say later who changed what. nil
// is no binding.
func (a *Agent) tellChange(name, actor string, before, after *nic.Binding) {
	b, n := difference(before, after)
	a.opt.Log.Info("binding changed", "nic", name, "actor", actor, "before", b, "after", n)
}

// difference prints the keys of the file format in which two bindings differ;
// of a binding that is new or gone, those that are not the defaults.
func difference(before, after *nic.Binding) (b, n string) {
	switch {
	case before == nil && after == nil:
		return "none", "none"
	case before == nil:
		_, n = apart(defaults(after), members(after))
		return "none", n
	case after == nil:
		b, _ = apart(members(before), defaults(before))
		return b, "none"
	default:
		return apart(members(before), members(after))
	}
}

// apart prints what either of two bindings has and the other has not. Only the
// members that differ are looked into.
func apart(one, other map[string]json.RawMessage) (only1, only2 string) {
	for key, value := range one {
		if bytes.Equal(value, other[key]) {
			delete(one, key)
			delete(other, key)
		}
	}
	was, is := keys(one), keys(other)
	return only(was, is), only(is, was)
}

// only prints the keys whose values other does not have.
func only(keys, other map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if v, ok := other[k]; !ok || v != keys[k] {
			all = append(all, k+"="+keys[k])
		}
	}
	return strings.Join(all, " ")
}

// defaults are the members of a binding that says nothing but whose it is.
func defaults(b *nic.Binding) map[string]json.RawMessage {
	r := manifest.Parse("", []byte("nic: "+b.NIC+"\nmac: 02:00:00:00:00:01\n"), manifest.Networks{})
	if len(r.Bindings) != 1 {
		return nil
	}
	all := members(&r.Bindings[0])
	delete(all, "nic")
	delete(all, "mac")
	return all
}

// members are what a binding's document has, by key.
func members(b *nic.Binding) map[string]json.RawMessage {
	doc, err := manifest.Encode(b)
	var all map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(doc, &all)
	}
	if err != nil {
		return map[string]json.RawMessage{"error": json.RawMessage(err.Error())}
	}
	return all
}

// keys flattens members: "dhcp4.lease" and its value as JSON.
func keys(members map[string]json.RawMessage) map[string]string {
	all := map[string]string{}
	for key, value := range members {
		flatten(all, key, value)
	}
	return all
}

func flatten(all map[string]string, name string, value json.RawMessage) {
	var inner map[string]json.RawMessage
	if value[0] == '{' { // anything else is tried in vain, and costs an error
		_ = json.Unmarshal(value, &inner) // it has been read once
	}
	if len(inner) == 0 {
		all[name] = string(value)
	}
	for key, value := range inner {
		flatten(all, name+"."+key, value)
	}
}
