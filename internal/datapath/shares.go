package datapath

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// Share is an address that the NIC on an ifindex may hold, as others may.
type Share struct {
	Index int
	Addr  netip.Addr
}

// Seen returns when each NIC last announced an address it shares, by ARP or a
// neighbour advertisement that its guard let pass: on the clock that
// CLOCK_MONOTONIC reads, zero if never. Who announced one last holds it.
func (k *Kernel) Seen() (map[Share]time.Duration, error) {
	seen := map[Share]time.Duration{}
	err := k.eachShare(func(key berthShareKey, s berthShare) {
		seen[Share{int(key.Ifindex), addr6Of(key.Addr).Unmap()}] = time.Duration(s.SeenNs)
	})
	return seen, err
}

func (k *Kernel) eachShare(f func(berthShareKey, berthShare)) error {
	var key berthShareKey
	var s berthShare
	it := k.maps.Shares.Iterate()
	for it.Next(&key, &s) {
		f(key, s)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read shares: %w", err)
	}
	return nil
}

// addShares makes the program note who holds the addresses; what it has noted
// of them stays. Those of rules that then could not be written go at the next
// start.
func (k *Kernel) addShares(index uint32, list []netip.Addr) error {
	for _, a := range list {
		key := berthShareKey{Ifindex: index, Addr: in6Of(a)}
		err := k.maps.Shares.Update(&key, &berthShare{}, ebpf.UpdateNoExist)
		if err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("note the share in %s: %w", a, err)
		}
	}
	return nil
}

// dropShares forgets what the NIC shared by its old rules and shares no more.
func (k *Kernel) dropShares(index uint32, old *berthNicRules, still []netip.Addr) error {
	if old == nil || old.Flags&ruleShares == 0 {
		return nil
	}
	return dropWhere(k.maps.Shares, func(key berthShareKey, _ berthShare) bool {
		return key.Ifindex == index && !slices.Contains(still, addr6Of(key.Addr).Unmap())
	})
}

// sharesOf returns the addresses that the NIC shares, sorted.
func (k *Kernel) sharesOf(index uint32) ([]netip.Addr, error) {
	var out []netip.Addr
	err := k.eachShare(func(key berthShareKey, _ berthShare) {
		if key.Ifindex == index {
			out = append(out, addr6Of(key.Addr).Unmap())
		}
	})
	slices.SortFunc(out, netip.Addr.Compare)
	return out, err
}

// sweepShares forgets the shares of NICs whose rules have none: a crash came
// between the tables.
func (k *Kernel) sweepShares() error {
	sharing := map[uint32]bool{}
	err := k.eachRules(func(index int, v *berthNicRules) error {
		sharing[uint32(index)] = v.Flags&ruleShares != 0
		return nil
	})
	if err != nil {
		return err
	}
	return dropWhere(k.maps.Shares, func(key berthShareKey, _ berthShare) bool { return !sharing[key.Ifindex] })
}
