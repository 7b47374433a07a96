package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/plan"
)

// Guard puts rules in force on the device: the tables are filled first, then
// the programs attached. Rules already there are replaced in one map update.
// On an error the device is left no more open than before.
func (k *Kernel) Guard(index int, name string, r guard.Rules) error {
	if err := k.fill(index, name, &r); err != nil {
		return fmt.Errorf("fill tables: %w", err)
	}
	at, err := k.attached(index)
	if err != nil {
		return fmt.Errorf("read attachment: %w", err)
	}
	if at != plan.Detached {
		return nil
	}
	// Dead or partial links of an earlier device or a foreign detach.
	if err := k.dropLinks(index); err != nil {
		return fmt.Errorf("drop dead links: %w", err)
	}
	err = k.addFilters(index)
	if errors.Is(err, errIngress) && k.tcx {
		return k.attachTCX(index) // slower, and beside anybody's qdisc
	}
	if err != nil {
		return err
	}
	if at, err = k.attached(index); err == nil && at == plan.Detached {
		err = errors.New("the filters were added and are not there")
	}
	return err
}

// fill writes the NIC's entries in the order that is safe at every instant:
// new trie entries, state, then the rules that refer to them, then the old
// trie entries go.
func (k *Kernel) fill(index int, name string, r *guard.Rules) error {
	key := uint32(index)
	set := k.nextSet()
	v, err := encodeRules(name, r, set)
	if err != nil {
		return err
	}
	v.Stamp = k.nextStamp()
	old, err := k.lookupRules(key)
	if err != nil {
		return err
	}
	if old == nil || old.Digest != v.Digest {
		// No answer outlives the rules that it was made with.
		if err = k.Unanswer(index); err != nil {
			return err
		}
	}
	if err = k.addSet(r, set); err != nil {
		return errors.Join(err, k.dropSet(set))
	}
	if err = k.reserve(key, &v, old); err != nil {
		return errors.Join(err, k.dropSet(set))
	}
	if err = k.addShares(key, r.Shared); err == nil {
		err = k.enforce(key, &v)
	}
	if err != nil {
		return errors.Join(err, k.unreserve(key, &v, old), k.dropSet(set))
	}
	return errors.Join(k.unreserve(key, old, &v), k.dropShares(key, old, r.Shared), k.dropSetOf(old))
}

// enforce writes the rules themselves, and counters where there are none.
func (k *Kernel) enforce(key uint32, v *berthNicRules) error {
	err := k.maps.States.Update(&key, &berthNicState{}, ebpf.UpdateNoExist)
	if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
		return fmt.Errorf("add counters: %w", err)
	}
	if err = k.maps.Nics.Update(&key, v, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("update rules: %w", err)
	}
	if v.Flags&(ruleSet|ruleSet6) != 0 {
		k.sets[v.Set] = true
	}
	return nil
}

func (k *Kernel) dropSetOf(v *berthNicRules) error {
	if v == nil || v.Flags&(ruleSet|ruleSet6) == 0 {
		return nil
	}
	return k.dropSet(v.Set)
}

func (k *Kernel) lookupRules(key uint32) (*berthNicRules, error) {
	var v berthNicRules
	err := k.maps.Nics.Lookup(&key, &v)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read rules of ifindex %d: %w", key, err)
	}
	return &v, nil
}

// nextSet numbers a set as no set in use is: pins outlive the process, and the
// numbers end.
func (k *Kernel) nextSet() uint32 {
	for k.set++; k.sets[k.set]; k.set++ {
	}
	return k.set
}

func (k *Kernel) addSet(r *guard.Rules, set uint32) error {
	one := uint8(1)
	for _, key := range setKeys(r, set) {
		if err := k.maps.Sets.Update(&key, &one, ebpf.UpdateAny); err != nil {
			return fmt.Errorf("add permitted source %s: %w", addrOf(key.Addr), err)
		}
	}
	for _, key := range set6Keys(r, set) {
		bits := uint8(key.Prefixlen - 32)
		if err := k.maps.Sets6.Update(&key, &bits, ebpf.UpdateAny); err != nil {
			return fmt.Errorf("add permitted source %s: %w", addr6Of(key.Addr), err)
		}
	}
	return nil
}

// dropSet removes every trie entry of one set.
func (k *Kernel) dropSet(set uint32) error {
	if err := k.dropSetsWhere(func(s uint32) bool { return s == set }); err != nil {
		return err
	}
	delete(k.sets, set)
	return nil
}

// sweepSets removes trie entries that no rules refer to: a crash came between
// their writing and their use. It also finds the last set number used.
func (k *Kernel) sweepSets() error {
	k.sets = map[uint32]bool{}
	err := k.eachRules(func(_ int, v *berthNicRules) error {
		if v.Flags&(ruleSet|ruleSet6) != 0 {
			k.sets[v.Set] = true
			k.set = max(k.set, v.Set)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return k.dropSetsWhere(func(s uint32) bool { return !k.sets[s] })
}

func (k *Kernel) dropSetsWhere(match func(set uint32) bool) error {
	return errors.Join(
		dropWhere(k.maps.Sets, func(key berthSetKey, _ uint8) bool { return match(key.Set) }),
		dropWhere(k.maps.Sets6, func(key berthSet6Key, _ uint8) bool { return match(key.Set) }),
	)
}

// dropWhere removes the entries of a map that match.
func dropWhere[K, V any](m *ebpf.Map, match func(K, V) bool) error {
	var doomed []K
	var key K
	var value V
	for it := m.Iterate(); it.Next(&key, &value); {
		if match(key, value) {
			doomed = append(doomed, key)
		}
	}
	for i := range doomed {
		if err := ignoreMissing(m.Delete(&doomed[i])); err != nil {
			return fmt.Errorf("remove from %s: %w", m, err)
		}
	}
	return nil
}

// Harden replaces the device's clsact filters by pinned tcx links: the links
// go on first, so that there is no instant without a guard. Links that are
// complete stay as they are.
func (k *Kernel) Harden(index int) error {
	if hung, err := k.hung(index); err != nil || hung {
		return errors.Join(err, k.removeFilters(index))
	}
	if err := k.dropLinks(index); err != nil {
		return fmt.Errorf("drop partial links: %w", err)
	}
	if err := k.attachTCX(index); err != nil {
		return errors.Join(err, k.dropLinks(index))
	}
	return k.removeFilters(index)
}

// Forget removes everything of an ifindex: links, filters, tables. The device
// is then as it was before berth, if it lives.
func (k *Kernel) Forget(index int) error {
	errs := []error{k.dropLinks(index), ignoreGone(k.removeFilters(index)), k.removeQdisc(index)}
	key := uint32(index)
	old, err := k.lookupRules(key)
	return errors.Join(append(errs, err, k.Unanswer(index), ignoreMissing(k.maps.Nics.Delete(&key)),
		k.dropClaims(key), ignoreMissing(k.maps.States.Delete(&key)),
		k.unreserve(key, old, nil), k.dropShares(key, old, nil), k.dropSetOf(old))...)
}

func ignoreMissing(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}
