package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/reason"
)

// attacker is web1 turned hostile: it wants to be web2 and the router.
func (s *story) attacker() attacker {
	return attacker{
		vm: s.vms[0], own4: netip.MustParseAddr("192.0.2.11"), own6: netip.MustParseAddr("2001:db8:1::11"), victimMAC: s.vms[1].mac,
		victim4: netip.MustParseAddr(router), victim6: netip.MustParseAddr(router6), gateway: netip.MustParseAddr(gateway6),
	}
}

// control is legacy, which nobody guards, doing the same to nobody: it shows
// that the capture would have seen the frames.
func (s *story) control() (attacker, error) {
	nobody := s.legacy().mac
	nobody[5] = 0xee
	a := attacker{
		vm: s.legacy(), victimMAC: nobody, victim4: netip.MustParseAddr("192.0.2.99"),
		victim6: netip.MustParseAddr("2001:db8:1::99"), gateway: netip.MustParseAddr("fe80::99"),
	}
	for f, own := range map[family]*netip.Addr{v4: &a.own4, v6: &a.own6} {
		got, err := s.has(ask{a.vm, f})
		if err != nil {
			return a, err
		}
		if *own, err = netip.ParseAddr(got.addr()); err != nil {
			return a, err
		}
	}
	return a, nil
}

// shots is how many frames of each kind are sent.
const shots = 5

const scoreRow = "%-34s%-14s%-14s%-16s%s"

func (s *story) attacks() error {
	s.heading("3 web1 turns hostile: %d forged frames of each kind. legacy does the same, unguarded", shots)
	control, err := s.control()
	if err != nil {
		return err
	}
	s.line(scoreRow, "", "reason", "dropped", "web1's on LAN", "legacy's on LAN")
	controls := control.attacks()
	for i, a := range s.attacker().attacks() {
		dropped, seen, err := s.attack(s.attacker(), a)
		if err != nil {
			return err
		}
		if err := s.send(control.vm, controls[i].frame, shots); err != nil {
			return err
		}
		if err := s.lan.fence(control); err != nil {
			return err
		}
		unguarded, err := s.lan.count(controls[i].filter)
		if err != nil {
			return err
		}
		s.line(scoreRow, a.what, a.reason, fmt.Sprintf("%d of %d", dropped, shots), fmt.Sprint(seen), fmt.Sprint(unguarded))
		s.fact(a.what+": dropped", dropped, shots)
		s.fact(a.what+": web1's frames on the LAN", seen, 0)
		s.fact(a.what+": legacy's frames on the LAN", unguarded, shots)
	}
	return nil
}

// attack sends one kind of forged frame. It returns how many of them were
// dropped for the reason, and how many frames of the kind the LAN has seen so
// far.
func (s *story) attack(from attacker, a attack) (dropped, seen int, err error) {
	before, err := s.dropped(from.vm, a.reason)
	if err != nil {
		return 0, 0, err
	}
	if seen, err = s.fire(from, a); err != nil {
		return 0, 0, err
	}
	after, err := s.dropped(from.vm, a.reason)
	return int(after - before), seen, err
}

func (s *story) fire(from attacker, a attack) (seen int, err error) {
	if err := s.send(from.vm, a.frame, shots); err != nil {
		return 0, err
	}
	if err := s.lan.fence(from); err != nil {
		return 0, err
	}
	return s.lan.count(a.filter)
}

// dropped is how many of a VM's frames were dropped for a reason.
func (s *story) dropped(v *vm, why reason.Reason) (uint64, error) {
	nic, err := s.node.show(v)
	if err != nil {
		return 0, s.node.explain(err)
	}
	if nic.Counters == nil {
		return 0, fmt.Errorf("NIC %s has no counters", nic.Name)
	}
	return nic.Counters.Dropped[why.String()], nil
}

func (s *story) explanation() error {
	s.heading("4 What the operator is told")
	shown, err := s.node.berth("show", s.vms[0].tap())
	if err != nil {
		return err
	}
	s.line("$ berth show web1-tap    (its end; what legacy and the site sent to it counts too)")
	first := slices.IndexFunc(shown, func(l string) bool { return strings.HasPrefix(l, "frames") })
	s.holds("`berth show` tells of frames", first >= 0)
	for _, l := range shown[max(first, 0):] {
		s.line(" %s", s.paint("2", l))
	}
	if err := s.quote(reason.RARogue.String(), "events", "--nic", s.vms[0].tap()); err != nil {
		return err
	}
	s.line("And why has web4 no IPv6 address?")
	return s.quote(reason.IPv6Closed.String(), "show", s.vms[3].tap())
}

// quote prints the first line of what berth says that has a word in it.
func (s *story) quote(word string, args ...string) error {
	said, err := s.node.berth(args...)
	if err != nil {
		return err
	}
	command := fmt.Sprintf("berth %s | grep -m1 %s", strings.Join(args, " "), word)
	s.line("$ %s", command)
	at := slices.IndexFunc(said, func(l string) bool { return strings.Contains(l, word) })
	s.holds(fmt.Sprintf("`%s` finds a line", command), at >= 0)
	if at >= 0 {
		s.wrap(said[at])
	}
	return nil
}
