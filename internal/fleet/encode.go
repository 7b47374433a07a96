package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/berth-net/berth/internal/nic"
)

// Encode writes a resource as one JSON document. Decode reads it back.
func Encode(r Resource) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", r.Header().Kind, r.Header().Name, err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Load reads what Encode wrote and nobody has touched since: it is not held to
// any rule again.
func Load(kind Kind, data []byte) (Resource, error) {
	r := New(kind)
	if r == nil {
		return nil, fmt.Errorf("no kind of resource is called %q", kind)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a binding's numbers stay as they were written
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("read %s: %w", kind, err)
	}
	return r, nil
}

// defaultMACPrefix begins generated MACs: locally administered, "be".
const defaultMACPrefix = "02:62:65"

// Complete fills in the defaults of what a document leaves out.
func Complete(r Resource) {
	switch v := r.(type) {
	case *Network:
		if v.MACPrefix == "" {
			v.MACPrefix = defaultMACPrefix
		}
	case *Node:
		if v.State == "" {
			v.State = NodeEnabled
		}
	case *NIC:
		v.complete()
	case *Request:
		v.complete()
	}
}

// complete gives a NIC's interface the NIC's name if it has none and that can
// be one.
func (n *NIC) complete() {
	if n.Interface == "" && nic.ValidName(n.Name) {
		n.Interface = n.Name
	}
}

// complete makes the NICs of a request whole: VM-INDEX are their names.
func (r *Request) complete() {
	for i := range r.VMs {
		vm := &r.VMs[i]
		for j := range vm.NICs {
			n := &vm.NICs[j]
			n.Kind = KindNIC
			if n.Name == "" {
				n.Name = fmt.Sprintf("%s-%d", vm.Name, j)
			}
			if n.Project == "" {
				n.Project = r.Project
			}
			if n.VM == "" {
				n.VM = vm.Name
			}
			n.complete()
		}
	}
}
