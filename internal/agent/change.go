package agent

import (
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
	was, is := keys(before), keys(after)
	switch {
	case before == nil && after == nil:
		return "none", "none"
	case before == nil:
		return "none", only(is, defaults(after))
	case after == nil:
		return only(was, defaults(before)), "none"
	default:
		return only(was, is), only(is, was)
	}
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

// defaults are the keys of a binding that says nothing but whose it is.
func defaults(b *nic.Binding) map[string]string {
	r := manifest.Parse("", []byte("nic: "+b.NIC+"\nmac: 02:00:00:00:00:01\n"), manifest.Networks{})
	if len(r.Bindings) != 1 {
		return nil
	}
	all := keys(&r.Bindings[0])
	delete(all, "nic")
	delete(all, "mac")
	return all
}

// keys flattens a binding: "dhcp4.lease" and its value as JSON.
func keys(b *nic.Binding) map[string]string {
	all := map[string]string{}
	if b == nil {
		return all
	}
	doc, err := manifest.Encode(b)
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	flatten(all, "", doc)
	return all
}

func flatten(all map[string]string, prefix string, doc json.RawMessage) {
	var inner map[string]json.RawMessage
	if err := json.Unmarshal(doc, &inner); err != nil || len(inner) == 0 {
		all[strings.TrimSuffix(prefix, ".")] = string(doc)
		return
	}
	for key, value := range inner {
		flatten(all, prefix+key+".", value)
	}
}
