package ipam

import (
	"strings"

	"github.com/berth-net/berth/internal/fleet"
)

// settle counts machines and holds each project to its quota.
func (d *draft) settle() {
	for _, key := range sortedKeys(d.machines) {
		project, vm, _ := strings.Cut(key, "/")
		was, is := 0, 0
		if p := d.s.projects[project]; p != nil {
			was = len(p.vms[vm])
		}
		is = len(d.machineNICs(project, vm))
		switch u := d.account(project); {
		case was == 0 && is > 0:
			u.VMs++
		case was > 0 && is == 0:
			u.VMs--
		}
	}
	for _, name := range sortedKeys(d.usage) {
		d.holdToQuota(name, d.usage[name])
	}
}

// machineNICs are the NICs of a machine as this decision leaves them.
func (d *draft) machineNICs(project, vm string) []*fleet.NIC {
	var out []*fleet.NIC
	if p := d.s.projects[project]; p != nil {
		for _, n := range p.vms[vm] {
			if _, changed := d.nics[n.Name]; !changed {
				out = append(out, n)
			}
		}
	}
	for _, n := range d.nics {
		if n != nil && n.Project == project && n.VM == vm {
			out = append(out, n)
		}
	}
	return out
}

func (d *draft) holdToQuota(name string, u *fleet.Usage) {
	p := get[*fleet.Project](d.s, fleet.KindProject, name)
	if p == nil {
		return
	}
	was := d.s.Usage(name)
	for _, q := range []struct {
		what    string
		limit   *int
		was, is int
	}{
		{"vms", p.Quota.VMs, was.VMs, u.VMs},
		{"nics", p.Quota.NICs, was.NICs, u.NICs},
		{"addresses4", p.Quota.Addresses4, was.Addresses4, u.Addresses4},
		{"addresses6", p.Quota.Addresses6, was.Addresses6, u.Addresses6},
	} {
		if q.limit != nil && q.is > *q.limit && q.is > q.was {
			d.refuse(Quota.by("quota."+q.what), "project", name, "may have %d %s; it has %d and would have %d", *q.limit, q.what, q.was, q.is)
		}
	}
}
