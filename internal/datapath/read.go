package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
)

// Installed reads back what the kernel holds, ordered by ifindex.
func (k *Kernel) Installed() ([]plan.Installed, error) {
	found, err := k.Ruled()
	if err != nil {
		return nil, err
	}
	pins, err := k.pinned()
	if err != nil {
		return nil, err
	}
	for index := range pins {
		if _, ok := found[index]; !ok {
			found[index] = plan.Installed{Index: index}
		}
	}
	indexes := make([]int, 0, len(found))
	for index := range found {
		indexes = append(indexes, index)
	}
	attached, err := k.attachedAll(indexes)
	if err != nil {
		return nil, err
	}
	all := make([]plan.Installed, 0, len(found))
	for index, in := range found {
		in.Attach = attached[index]
		if err := k.readFate(&in, pins[index]); err != nil {
			return nil, err
		}
		all = append(all, in)
	}
	slices.SortFunc(all, func(a, b plan.Installed) int { return a.Index - b.Index })
	return all, nil
}

// InstalledOn is Installed of one ifindex; false if there is nothing.
func (k *Kernel) InstalledOn(index int) (in plan.Installed, ok bool, err error) {
	v, err := k.lookupRules(uint32(index))
	if err != nil {
		return in, false, err
	}
	in = plan.Installed{Index: index}
	if v != nil {
		in.Name, in.Digest = nameOf(v), v.Digest
	}
	pinned := false
	for d := range directions {
		_, err := os.Lstat(k.pin(d, index))
		pinned = pinned || err == nil
	}
	if v == nil && !pinned {
		return in, false, nil
	}
	if in.Attach, err = k.attached(index); err == nil {
		err = k.readFate(&in, pinned)
	}
	return in, err == nil, err
}

// readFate finds out what has become of a device whose programs do not hang.
func (k *Kernel) readFate(in *plan.Installed, pinned bool) error {
	if !pinned || in.Attach == plan.TCX {
		return nil
	}
	alive, err := k.alive(in.Index)
	if err != nil {
		return fmt.Errorf("read attachment of ifindex %d: %w", in.Index, err)
	}
	in.Moved = alive
	in.Gone = !alive && in.Attach == plan.Detached
	return nil
}

// Ruled reads back, by ifindex, for whom there are rules, but not whether their
// programs hang on a device.
func (k *Kernel) Ruled() (map[int]plan.Installed, error) {
	found := map[int]plan.Installed{}
	err := k.eachRules(func(index int, v *berthNicRules) error {
		found[index] = plan.Installed{Index: index, Name: nameOf(v), Digest: v.Digest}
		return nil
	})
	return found, err
}

// attached asks the kernel how the guard hangs on the device of this
// namespace that has the ifindex.
func (k *Kernel) attached(index int) (plan.Attach, error) {
	all, err := k.attachedAll([]int{index})
	return all[index], err
}

func (k *Kernel) attachedAll(indexes []int) (map[int]plan.Attach, error) {
	all := make(map[int]plan.Attach, len(indexes))
	var rest []int
	for _, index := range indexes {
		hung, err := k.hung(index)
		if err != nil {
			return nil, fmt.Errorf("read links of ifindex %d: %w", index, err)
		}
		if hung {
			all[index] = plan.TCX
		} else {
			rest = append(rest, index)
		}
	}
	if len(rest) == 0 {
		return all, nil
	}
	found, err := ourFilters(rest...)
	if err != nil {
		return nil, err
	}
	for index, at := range found {
		if at[in] && at[out] {
			all[index] = plan.Clsact
		}
	}
	return all, nil
}

func (k *Kernel) eachRules(f func(index int, v *berthNicRules) error) error {
	var key uint32
	var v berthNicRules
	it := k.maps.Nics.Iterate()
	for it.Next(&key, &v) {
		if err := f(int(key), &v); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read rules: %w", err)
	}
	return nil
}

// Rules reads back the rules in force on an ifindex, for people; false if
// there are none.
func (k *Kernel) Rules(index int) (guard.Rules, bool, error) {
	v, err := k.lookupRules(uint32(index))
	if err != nil || v == nil {
		return guard.Rules{}, false, err
	}
	var inTrie, inTrie6 []netip.Prefix
	if v.Flags&ruleSet != 0 {
		inTrie = k.readSet(v.Set)
	}
	if v.Flags&ruleSet6 != 0 {
		inTrie6 = k.readSet6(v.Set)
	}
	r := decodeRules(v, inTrie, inTrie6)
	if v.Flags&ruleShares != 0 {
		r.Shared, err = k.sharesOf(uint32(index))
		// A crash between the tables may have left what the rules no longer permit.
		r.Shared = slices.DeleteFunc(r.Shared, func(a netip.Addr) bool { return !inAny(r.IP4, a) && !inAny(r.IP6, a) })
	}
	return r, true, err
}

func inAny(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (k *Kernel) readSet(set uint32) []netip.Prefix {
	var all []netip.Prefix
	var key berthSetKey
	var v uint8
	for it := k.maps.Sets.Iterate(); it.Next(&key, &v); {
		if key.Set == set {
			all = append(all, netip.PrefixFrom(addrOf(key.Addr), int(key.Prefixlen)-32))
		}
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return all
}

func (k *Kernel) readSet6(set uint32) []netip.Prefix {
	var all []netip.Prefix
	var key berthSet6Key
	var bits uint8
	for it := k.maps.Sets6.Iterate(); it.Next(&key, &bits); {
		if key.Set == set {
			all = append(all, netip.PrefixFrom(addr6Of(key.Addr), int(bits)))
		}
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return all
}

// Counters are the frames of one ifindex since its guard was first attached.
type Counters struct {
	FromGuest, ToGuest      uint64
	Taken, Dropped, Audited map[reason.Reason]uint64
	Exchanges               map[Kind]uint64 // that the kernel has dealt with by itself
}

// Counters reads the counters of an ifindex; false if it has none.
func (k *Kernel) Counters(index int) (Counters, bool, error) {
	key := uint32(index)
	var s berthNicState
	err := k.maps.States.Lookup(&key, &s)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return Counters{}, false, nil
	}
	if err != nil {
		return Counters{}, false, fmt.Errorf("read counters of ifindex %d: %w", index, err)
	}
	return Counters{
		FromGuest: s.FromGuest, ToGuest: s.ToGuest, Taken: byReason(s.Taken[:], reason.DHCP4),
		Dropped: byReason(s.Dropped[:], reason.None), Audited: byReason(s.Audited[:], reason.None),
		Exchanges: byKind(s.Exchanges[:]),
	}, true, nil
}

// byReason names counts; the first is of the reason called first.
func byReason(counts []uint64, first reason.Reason) map[reason.Reason]uint64 {
	m := map[reason.Reason]uint64{}
	for i, n := range counts {
		if n > 0 {
			m[first+reason.Reason(i)] = n
		}
	}
	return m
}
