package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/guard"
)

// reserved are the link-locals that a NIC's rules keep for it on its segment:
// its EUI-64, or those it is fixed to.
func reserved(v *berthNicRules) []berthLocalKey {
	switch {
	case v.Flags&ruleIP6 == 0:
		return nil
	case v.Flags&ruleFixed != 0:
		var keys []berthLocalKey
		for _, a := range v.Locals[:v.Nlocals] {
			keys = append(keys, berthLocalKey{Segment: v.Segment, Addr: a})
		}
		return keys
	default:
		return []berthLocalKey{{Segment: v.Segment, Addr: v.Eui64}}
	}
}

// gateway is the key of the link-local gateway that rules name.
func gateway(v *berthNicRules) (berthLocalKey, bool) {
	a := addr6Of(v.Gateway6)
	return berthLocalKey{Segment: v.Segment, Addr: v.Gateway6}, v.Flags&ruleIP6 != 0 && a.IsLinkLocalUnicast()
}

// reserve takes what the new rules keep, from whoever had claimed it. A
// gateway is counted, because every NIC of a segment names it.
func (k *Kernel) reserve(index uint32, r *guard.Rules, old *berthNicRules) error {
	v, err := encodeRules("?", r, 0)
	if err != nil {
		return err
	}
	for _, key := range reserved(&v) {
		if err := k.maps.Locals.Update(&key, &berthLocal{Holder: index}, ebpf.UpdateAny); err != nil {
			return fmt.Errorf("reserve link-local %s: %w", addr6Of(key.Addr), err)
		}
	}
	key, has := gateway(&v)
	if !has || old != nil && sameGateway(old, key) {
		return nil
	}
	return k.countGateway(key, 1)
}

func sameGateway(v *berthNicRules, key berthLocalKey) bool {
	had, ok := gateway(v)
	return ok && had == key
}

// countGateway changes by how many NICs a gateway is named; at none it is
// nobody's.
func (k *Kernel) countGateway(key berthLocalKey, by int) error {
	var l berthLocal
	err := ignoreMissing(k.maps.Locals.Lookup(&key, &l))
	if err != nil {
		return fmt.Errorf("read link-local %s: %w", addr6Of(key.Addr), err)
	}
	if l.Holder != guard.Nobody { // a guest's claim gives way
		l = berthLocal{}
	}
	users := int(l.Users) + by
	if users <= 0 {
		return ignoreMissing(k.maps.Locals.Delete(&key))
	}
	l.Users = uint32(users)
	if err := k.maps.Locals.Update(&key, &l, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("reserve gateway %s: %w", addr6Of(key.Addr), err)
	}
	return nil
}

// unreserve gives back what the old rules kept and the new ones do not; now is
// nil if there are none.
func (k *Kernel) unreserve(index uint32, old *berthNicRules, now *guard.Rules) error {
	var v berthNicRules
	if now != nil {
		v, _ = encodeRules("?", now, 0) // as it was encoded before
	}
	kept := reserved(&v)
	var errs []error
	for _, key := range reserved(old) {
		if !slices.Contains(kept, key) {
			errs = append(errs, k.dropLocal(key, index))
		}
	}
	if key, had := gateway(old); had && !sameGateway(&v, key) {
		errs = append(errs, k.countGateway(key, -1))
	}
	if old.Segment != v.Segment {
		errs = append(errs, k.dropClaimsOf(index, func(key berthLocalKey) bool { return key.Segment != v.Segment }))
	}
	return errors.Join(errs...)
}

// dropLocal removes an entry if it is the NIC's.
func (k *Kernel) dropLocal(key berthLocalKey, index uint32) error {
	var l berthLocal
	err := ignoreMissing(k.maps.Locals.Lookup(&key, &l))
	if err != nil || l.Holder != index {
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
			errs = append(errs, k.dropLocal(key, index))
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
		if k.maps.Locals.Lookup(&c, &l) == nil && l.Holder == key {
			out = append(out, addr6Of(c.Addr))
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out, nil
}

// sweepLocals makes the reservations fit the rules in force: a crash may have
// come between the two.
func (k *Kernel) sweepLocals() error {
	users, holders := map[berthLocalKey]uint32{}, map[uint32]bool{}
	err := k.eachRules(func(index int, v *berthNicRules) error {
		holders[uint32(index)] = true
		if key, ok := gateway(v); ok {
			users[key]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = dropWhere(k.maps.Locals, func(key berthLocalKey, l berthLocal) bool {
		return l.Holder == guard.Nobody && users[key] == 0 || l.Holder != guard.Nobody && !holders[l.Holder]
	})
	for key, n := range users {
		err = errors.Join(err, k.maps.Locals.Update(&key, &berthLocal{Users: n}, ebpf.UpdateAny))
	}
	return err
}
