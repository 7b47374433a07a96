package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/berth-net/berth/internal/reason"
)

// floating is the address of a fail-over pair, and sharing what both their
// files say of it.
const (
	floating = "192.0.2.100"
	sharing  = "shared: [{group: web, addresses: [" + floating + "]}]"
)

// pair is a fail-over from lb1 to lb2, and an attempt of web1 to be the third.
func (s *story) pair() error {
	lb1, lb2 := s.more.lb1, s.more.lb2
	s.heading("8 A fail-over pair: the files of lb1 and lb2 say `%s`", sharing)
	for _, v := range []*vm{lb1, lb2} {
		if err := s.bindAndAsk(v); err != nil {
			return err
		}
	}
	for _, v := range []*vm{lb1, lb2} {
		if err := s.ownAlone(ask{v, v4}); err != nil {
			return s.node.explain(err)
		}
	}
	if err := s.takeOver(lb1); err != nil {
		return err
	}
	s.line("lb1 dies (its link is down):")
	if err := s.execAll(lb1.name, "ip link set eth0 down"); err != nil {
		return err
	}
	if err := s.takeOver(lb2); err != nil {
		return err
	}
	return s.third()
}

// ownAlone notes that DHCP gives one of the pair its own address, not both's.
func (s *story) ownAlone(a ask) error {
	want, _, err := s.bound(a)
	if err != nil {
		return err
	}
	got, err := s.waitIdentity(a)
	s.fact("what DHCP gives "+a.vm.name, got, want)
	return err
}

// bindAndAsk writes a VM's file and starts its client once that is in force.
func (s *story) bindAndAsk(v *vm) error {
	if err := s.rebind(v, v.says); err != nil {
		return err
	}
	return s.startClient(ask{v, v4})
}

// takeOver has a VM take the pair's address by gratuitous ARP, as a cluster
// manager does, and shows who has it then: as the router sees it, and berth.
func (s *story) takeOver(v *vm) error {
	_, err := s.types(v.name, fmt.Sprintf("ip address add %s/24 dev eth0 && arping -q -U -c1 -I eth0 %s", floating, floating))
	if err != nil {
		return err
	}
	started := time.Now()
	err = s.until(10*time.Second, "the router to reach "+floating, func() bool {
		_, err := s.exec(site, "ping", "-n", "-c1", "-W1", floating)
		return err == nil
	})
	if err != nil {
		return s.node.explain(err)
	}
	took := time.Since(started)
	at, err := s.neighbour(site, "lan", floating)
	s.fact("where the router has the pair's address", at, v.mac)
	s.line("%s: the router pings it after %.1f s, at %s, %s's", v.name, took.Seconds(), at, v.name)
	if err != nil {
		return err
	}
	return s.holder(v)
}

// neighbour is the MAC at which a namespace's kernel has an address.
func (r *room) neighbour(ns, dev, address string) (string, error) {
	var all []struct {
		MAC string `json:"lladdr"`
	}
	err := r.json(&all, "ip", "-n", ns, "-j", "neighbour", "show", address, "dev", dev)
	if err != nil || len(all) != 1 {
		return "nobody", err
	}
	return all[0].MAC, nil
}

// holder waits until berth has learned who holds the pair's address, and quotes
// what it says at the NIC of either.
func (s *story) holder(v *vm) error {
	err := s.until(10*time.Second, "berth to know who holds "+floating, func() bool {
		nic, err := s.node.show(v)
		return err == nil && len(nic.Shared) == 1 && nic.Shared[0].Holder == v.tap()
	})
	if err != nil {
		return s.node.explain(err)
	}
	return s.quote("held", "show", s.more.lb1.tap())
}

// third has web1 claim the pair's address and speak from it.
func (s *story) third() error {
	from := s.hostile()
	claims := map[reason.Reason]string{reason.ARPSpoofIP: "  ARP: the pair's address is here", reason.IP4Spoof: "  the pair's address"}
	forged := slices.DeleteFunc(from.attacks(), func(a attack) bool {
		return a.reason != reason.ARPSpoofIP && a.reason != reason.IP4Spoof
	})
	s.line("web1 tries to be the third:")
	for _, a := range forged {
		dropped, seen, err := s.attack(from, a)
		if err != nil {
			return err
		}
		s.fact("web1 as the pair, dropped for "+a.reason.String(), dropped, shots)
		s.fact("web1 as the pair, on the LAN but for "+a.reason.String(), seen, 0)
		s.line(scoreRow, claims[a.reason], a.reason, fmt.Sprintf("%d of %d dropped, %d on the LAN", dropped, shots, seen), "", "")
	}
	at, err := s.neighbour(site, "lan", floating)
	s.fact("where the router has the pair's address after web1's attempt", at, s.more.lb2.mac)
	s.line("The router has it at %s, lb2's, still.", at)
	return err
}

// hostile is web1 with the address that it has by now, wanting the pair's.
func (s *story) hostile() attacker {
	a := s.attacker()
	a.own4, a.victim4 = netip.MustParseAddr("192.0.2.42"), netip.MustParseAddr(floating)
	return a
}
