package ipam

import (
	"errors"

	"github.com/berth-net/berth/internal/fleet"
)

// Migrate prepares a NIC on another node: there all is ready and nothing
// passes, and nothing changes where it is.
func (s *State) Migrate(name, to string, opt Options) (*Change, error) {
	return s.migrate("migrate", name, opt, func(d *draft, n *fleet.NIC) {
		switch m := n.Migration; {
		case m != nil && m.To == to && m.Phase == fleet.Prepared:
			return // as it is
		case m != nil:
			d.refuse(Conflict.by("migrating"), "migration", to, "is being migrated from %s to %s: complete or abort that", m.From, m.To)
			return
		case n.Node == "":
			d.refuse(Conflict.by("nowhere"), "node", "", "the NIC is on no node: put it on one")
			return
		case n.Node == to:
			d.refuse(Invalid.by("same-node"), "migration.to", to, "the NIC is there")
			return
		}
		d.serves("migration.to", to, n.Network, false)
		d.takePort("interface", port{to, n.Interface}, ownerNIC+n.Name)
		n.Migration = &fleet.Migration{From: n.Node, To: to, Phase: fleet.Prepared}
	})
}

// Activate puts a prepared NIC in force on the target; nothing passes at the
// source any more.
func (s *State) Activate(name string, opt Options) (*Change, error) {
	return s.migrate("activate", name, opt, func(d *draft, n *fleet.NIC) {
		if n.Migration == nil {
			d.notMigrating()
			return
		}
		m := *n.Migration
		if m.Phase != fleet.Activated && !d.opt.Force && d.opt.InForce != nil && !d.opt.InForce(m.To, n.Name) {
			d.refuse(Conflict.by("not-prepared"), "migration.to", m.To, "the node does not have the NIC in place: is there an interface %s?", n.Interface)
			return
		}
		m.Phase = fleet.Activated
		n.Migration, n.Node = &m, m.To
	})
}

// Complete withdraws an activated NIC from the source.
func (s *State) Complete(name string, opt Options) (*Change, error) {
	return s.migrate("complete", name, opt, func(d *draft, n *fleet.NIC) {
		switch m := n.Migration; {
		case m == nil:
			d.notMigrating()
		case m.Phase != fleet.Activated:
			d.refuse(Conflict.by("not-activated"), "migration.phase", string(m.Phase), "activate it on %s first", m.To)
		default:
			d.ports[port{m.From, n.Interface}] = ""
			n.Migration = nil
		}
	})
}

// Abort returns a NIC to the source, from either phase.
func (s *State) Abort(name string, opt Options) (*Change, error) {
	return s.migrate("abort", name, opt, func(d *draft, n *fleet.NIC) {
		if n.Migration == nil {
			d.notMigrating()
			return
		}
		d.ports[port{n.Migration.To, n.Interface}] = ""
		n.Node, n.Migration = n.Migration.From, nil
	})
}

func (d *draft) notMigrating() {
	d.refuse(Conflict.by("not-migrating"), "migration", "", "the NIC is not being migrated")
}

// migrate has a step change a copy of a NIC.
func (s *State) migrate(action, name string, opt Options, step func(*draft, *fleet.NIC)) (*Change, error) {
	d := newDraft(s, opt, action, fleet.Head{Kind: fleet.KindNIC, Name: name})
	old := s.NIC(name)
	if old == nil {
		d.refuse(NotFound.by("no-such"), "", "", "there is no nic of this name")
		return nil, errors.Join(d.refused...)
	}
	if !d.current(&fleet.Head{Kind: fleet.KindNIC, Name: name}) {
		return nil, errors.Join(d.refused...)
	}
	now, err := clone(old)
	if err != nil {
		return nil, err
	}
	step(d, now)
	d.needResource(fleet.KindNIC, name)
	if now.Granted != nil {
		for _, p := range now.Granted.Addresses {
			d.house(spot{now.Network, p.Addr()}, now.Node)
		}
	}
	d.write(now)
	return d.finish()
}

// house notes where the owner of an address is now.
func (d *draft) house(at spot, node string) {
	if was := d.claim(at); was != nil && was.Node != node {
		c := d.housed(*was, node)
		d.addresses[at] = &c
	}
}
