// Package carry makes imported hosts into bindings, and bindings into the
// short documents that people read.
//
// Not here: where hosts come from (the packages beside), files (cmd/berth).
package carry

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/table"
)

// Carried is a host that became a binding.
type Carried struct {
	Place   compat.Place
	Name    string // what the other system calls it
	Binding nic.Binding
}

// Carry makes hosts into bindings of one network ("": the default one). A host
// without an interface, or that no binding can be, is told in a note.
func Carry(hosts []compat.Host, network string, names compat.Names) ([]Carried, []compat.Note) {
	var out []Carried
	var r compat.Result
	for _, h := range joined(hosts, &r) {
		c, err := one(h, network, names)
		if err != nil {
			for _, e := range unwrap(err) {
				r.Note(h.Place, "%s is not carried: %v", h.Name, e)
			}
			continue
		}
		out = append(out, c)
	}
	return out, r.Notes
}

func unwrap(err error) []error {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// joined puts the families of a host together, which other systems declare
// apart.
func joined(hosts []compat.Host, r *compat.Result) []compat.Host {
	var out []compat.Host
	at := map[nic.MAC]int{}
	for _, h := range hosts {
		i, again := at[h.MAC]
		switch {
		case !again:
			at[h.MAC] = len(out)
			out = append(out, h)
		case !out[i].Join(h):
			r.Note(h.Place, "%s is not carried: MAC %v is %s's, %v", h.Name, h.MAC, out[i].Name, out[i].Place)
		}
	}
	return out
}

func one(h compat.Host, network string, names compat.Names) (Carried, error) {
	c := Carried{Place: h.Place, Name: h.Name}
	if h.NIC == "" {
		name, err := names.Of(h.MAC)
		if err != nil {
			return c, err
		}
		h.NIC = name
	}
	h.Network = network
	b, err := binding(&h)
	b.Origin = nic.Origin{Source: "import", File: h.File, Line: h.Line}
	c.Binding = b
	return c, err
}

// binding is what the document means, with every default and check.
func binding(h *compat.Host) (nic.Binding, error) {
	text, err := json.Marshal(h.Document)
	if err != nil {
		return nic.Binding{}, err
	}
	r := manifest.Parse("", text, Alone(h.Network))
	if len(r.Problems) == 0 {
		return r.Bindings[0], nil
	}
	problems := make([]error, len(r.Problems))
	for i, p := range r.Problems {
		p.Line = 0 // of the made-up document
		problems[i] = p
	}
	return nic.Binding{}, errors.Join(problems...)
}

// Alone is a network that gives nothing; "" is the default one.
func Alone(network string) manifest.Networks {
	if network == "" {
		return manifest.Networks{}
	}
	text, _ := json.Marshal(map[string]string{"network": network}) // texts always marshal
	nets, _ := manifest.ParseNetworks("", text)
	return nets
}

// Distinct sorts by NIC, and leaves out those that want what another has, as
// berthd would; each is told in a note.
func Distinct(all []Carried) ([]Carried, []compat.Note) {
	var r compat.Result
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Carried) int { return cmp.Compare(a.Binding.NIC, b.Binding.NIC) })
	all = slices.CompactFunc(all, func(a, b Carried) bool {
		same := a.Binding.NIC == b.Binding.NIC
		if same {
			r.Note(b.Place, "%s is not carried: NIC %s is already that of %v", b.Name, b.Binding.NIC, a.Place)
		}
		return same
	})
	var bindings []nic.Binding
	for _, c := range all {
		bindings = append(bindings, c.Binding)
	}
	merged := table.Merge(1, []table.Update{{Source: "import", Bindings: bindings}}, func(*nic.Binding) int { return 0 })
	all = slices.DeleteFunc(all, func(c Carried) bool {
		why, refused := merged.Refused[c.Binding.NIC]
		if refused {
			r.Note(c.Place, "%s is not carried: %s", c.Name, why.Text)
		}
		return refused
	})
	return all, r.Notes
}
