package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/guard"
)

// kept returns the link-locals that rules keep from being claimed on their
// segment, each with its holder: the NIC's EUI-64, or those it is fixed to, and
// those of the routers it names, which are nobody's: the gateway and others.
func kept(index uint32, v *berthNicRules) map[berthLocalKey]uint32 {
	if v == nil || v.Flags&ruleIP6 == 0 {
		return nil
	}
	own := []in6{v.Eui64}
	if v.Flags&ruleFixed != 0 {
		own = v.Locals[:v.Nlocals]
	}
	keys := map[berthLocalKey]uint32{}
	for _, a := range own {
		keys[berthLocalKey{Segment: v.Segment, Addr: a}] = index
	}
	for _, a := range append(v.Routers[:v.Nrouters:v.Nrouters], v.Gateway6) {
		if addr6Of(a).IsLinkLocalUnicast() {
			keys[berthLocalKey{Segment: v.Segment, Addr: a}] = guard.Nobody
		}
	}
	return keys
}

// reserve keeps what the new rules name, from whoever had claimed it. It is
// counted, because several NICs may name one address: all that have the same
// router, and the router itself if it is a NIC.
func (k *Kernel) reserve(index uint32, now, old *berthNicRules) error {
	before := kept(index, old)
	for key, holder := range kept(index, now) {
		by := uint32(1)
		if _, had := before[key]; had {
			by = 0
		}
		if err := k.keep(key, holder, by); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kernel) keep(key berthLocalKey, holder, by uint32) error {
	var l berthLocal
	if err := ignoreMissing(k.maps.Locals.Lookup(&key, &l)); err != nil {
		return fmt.Errorf("read link-local %s: %w", addr6Of(key.Addr), err)
	}
	if l.Users == 0 { // a guest's claim gives way
		l = berthLocal{}
	}
	l.Users = max(l.Users+by, 1)
	if holder != guard.Nobody {
		l.Holder = holder
	}
	if err := k.maps.Locals.Update(&key, &l, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("reserve link-local %s: %w", addr6Of(key.Addr), err)
	}
	return nil
}

// unreserve gives back what the old rules kept and the new ones do not; now is
// nil if there are none.
func (k *Kernel) unreserve(index uint32, old, now *berthNicRules) error {
	if old == nil {
		return nil
	}
	still := kept(index, now)
	var over []berthLocalKey
	for key := range kept(index, old) {
		if _, has := still[key]; !has {
			over = append(over, key)
		}
	}
	err := k.unkeepAll(over, index)
	if now != nil && old.Segment != now.Segment {
		err = errors.Join(err, k.dropClaimsOf(index, func(key berthLocalKey) bool { return key.Segment != now.Segment }))
	}
	return err
}

func (k *Kernel) unkeepAll(keys []berthLocalKey, index uint32) error {
	var errs []error
	for _, key := range keys {
		errs = append(errs, k.unkeep(key, index))
	}
	return errors.Join(errs...)
}

// unkeep takes one user from a reservation; without any it is gone.
func (k *Kernel) unkeep(key berthLocalKey, index uint32) error {
	var l berthLocal
	err := ignoreMissing(k.maps.Locals.Lookup(&key, &l))
	if err != nil || l.Users == 0 {
		return err
	}
	if l.Users--; l.Users == 0 {
		return ignoreMissing(k.maps.Locals.Delete(&key))
	}
	if l.Holder == index {
		l.Holder = guard.Nobody
	}
	return k.maps.Locals.Update(&key, &l, ebpf.UpdateAny)
}

// dropClaim removes an entry if it is the NIC's claim.
func (k *Kernel) dropClaim(key berthLocalKey, index uint32) error {
	var l berthLocal
	err := ignoreMissing(k.maps.Locals.Lookup(&key, &l))
	if err != nil || l.Holder != index || l.Users != 0 {
		return err
	}
	return ignoreMissing(k.maps.Locals.Delete(&key))
}

// dropClaims gives back the link-locals a guest has chosen.
func (k *Kernel) dropClaims(index uint32) error {
	return k.dropClaimsOf(index, func(berthLocalKey) bool { return true })
}

func (k *Kernel) dropClaimsOf(index uint32, match func(berthLocalKey) bool) error {
	var s berthNicState
	err := k.maps.States.Lookup(&index, &s)
	if err != nil {
		return ignoreMissing(err)
	}
	var errs []error
	for _, key := range s.Claimed {
		if match(key) && key != (berthLocalKey{}) {
			errs = append(errs, k.dropClaim(key, index))
		}
	}
	return errors.Join(errs...)
}

// Claimed returns the link-locals of its own choice that the guest on an
// ifindex holds, sorted.
func (k *Kernel) Claimed(index int) ([]netip.Addr, error) {
	key := uint32(index)
	var s berthNicState
	if err := k.maps.States.Lookup(&key, &s); err != nil {
		return nil, ignoreMissing(err)
	}
	var out []netip.Addr
	for _, c := range s.Claimed {
		var l berthLocal
		if k.maps.Locals.Lookup(&c, &l) == nil && l.Holder == key && l.Users == 0 {
			out = append(out, addr6Of(c.Addr))
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out, nil
}

// sweepLocals makes the entries fit the rules in force and the claims that the
// NICs' states note: a crash may have come between the tables.
func (k *Kernel) sweepLocals() error {
	reserved, claimed := map[berthLocalKey]berthLocal{}, map[berthLocalKey]uint32{}
	err := k.eachRules(func(index int, v *berthNicRules) error {
		for key, holder := range kept(uint32(index), v) {
			l := reserved[key]
			reserved[key] = berthLocal{Users: l.Users + 1, Holder: max(l.Holder, holder)}
		}
		return k.noteClaims(uint32(index), claimed)
	})
	if err != nil {
		return err
	}
	err = dropWhere(k.maps.Locals, func(key berthLocalKey, l berthLocal) bool {
		_, keep := reserved[key]
		return !keep && (l.Users != 0 || l.Holder == guard.Nobody || claimed[key] != l.Holder)
	})
	for key, l := range reserved {
		err = errors.Join(err, k.maps.Locals.Update(&key, &l, ebpf.UpdateAny))
	}
	return err
}

// noteClaims adds the addresses that a NIC's state notes and the NIC holds.
func (k *Kernel) noteClaims(index uint32, claimed map[berthLocalKey]uint32) error {
	var s berthNicState
	if err := k.maps.States.Lookup(&index, &s); err != nil {
		return ignoreMissing(err)
	}
	for _, key := range s.Claimed {
		var l berthLocal
		if k.maps.Locals.Lookup(&key, &l) == nil && l.Holder == index {
			claimed[key] = index
		}
	}
	return nil
}
