package main

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/reason"
)

// identities is what a VM has in both families.
func (s *story) identities(v *vm) (map[family]identity, error) {
	all := map[family]identity{}
	for _, f := range families() {
		id, err := s.has(ask{v, f})
		if err != nil {
			return all, err
		}
		all[f] = id
	}
	return all, nil
}

func (s *story) crash() error {
	s.heading("5 berthd is killed (SIGKILL)")
	counted := map[reason.Reason]uint64{}
	forged := slices.DeleteFunc(s.attacker().attacks(), func(a attack) bool {
		return a.reason != reason.IP4Spoof && a.reason != reason.IP6Spoof
	})
	for _, a := range forged {
		var err error
		if counted[a.reason], err = s.dropped(s.vms[0], a.reason); err != nil {
			return err
		}
	}
	before, err := s.identities(s.vms[0])
	if err != nil {
		return err
	}
	s.node.kill()
	_, gone := s.node.client.Status(s.ctx)
	s.holds("berthd does not answer", gone != nil)
	if err := s.without(before, forged); err != nil {
		return err
	}
	return s.restart(counted)
}

// without shows what web1 can do while there is no berthd.
func (s *story) without(before map[family]identity, forged []attack) error {
	web1 := s.vms[0]
	kept, _ := s.identities(web1) // none is a difference too
	s.fact("web1's identities without berthd", kept, before)
	for _, f := range families() {
		took, err := s.pingRouter(ask{web1, f}, kept[f])
		s.fact(fmt.Sprintf("web1 pings the router by %s without berthd: error", f), err, nil)
		s.line("without it     web1 keeps %-18s and pings the router in %s", kept[f].Address, took)
	}
	if err := s.bootWithout(web1, kept[v4].Address); err != nil {
		return err
	}
	for _, a := range forged {
		seen, err := s.fire(s.attacker(), a)
		if err != nil {
			return err
		}
		s.fact(a.what+" without berthd: on the LAN", seen, 0)
		s.line("               it sends %d more frames with %s: %d on the LAN", shots, a.what, seen)
	}
	return nil
}

// bootWithout has another client ask in a VM as one that boots does; nothing is
// done with its lease.
func (s *story) bootWithout(v *vm, address string) error {
	told, err := s.asksAnew(v)
	if err != nil {
		return fmt.Errorf("without berthd: %w", err)
	}
	plain, _, _ := strings.Cut(address, "/")
	s.fact("what "+v.name+" is told without berthd", told, plain)
	s.line("               asks as if it booted, and the kernel answers: %s", told)
	return nil
}

// asksAnew has a client ask in a VM as one that boots does, and returns the
// address that it is told; nothing is done with it.
func (r *room) asksAnew(v *vm) (string, error) {
	said, err := r.exec(v.name, "sh", "-c", "udhcpc -f -n -q -i eth0 -s /bin/true -t 3 -T 1 2>&1")
	if err != nil {
		return "", fmt.Errorf("%s asks: %w", v.name, err)
	}
	told := regexp.MustCompile(`lease of ([0-9.]+) obtained`).FindStringSubmatch(said)
	if told == nil {
		return "", fmt.Errorf("%s is told nothing: %s", v.name, said)
	}
	return told[1], nil
}

func (s *story) restart(counted map[reason.Reason]uint64) error {
	started := time.Now()
	if err := s.node.start(); err != nil {
		return err
	}
	for _, v := range s.managed() {
		if err := s.node.waitInForce(v); err != nil {
			return err
		}
	}
	took := time.Since(started)
	pending, err := s.node.client.Plan(s.ctx, nil)
	if err != nil {
		return s.node.explain(err)
	}
	var counts []string
	for _, why := range []reason.Reason{reason.IP4Spoof, reason.IP6Spoof} {
		now, err := s.dropped(s.vms[0], why)
		if err != nil {
			return err
		}
		counts = append(counts, fmt.Sprintf("%s %d, was %d", why, now, counted[why]))
		s.fact(fmt.Sprintf("drops for %s over the crash", why), now-counted[why], shots)
	}
	s.line("started again  all in force after %.1f s, %d steps to do; %s", took.Seconds(), len(pending.Steps), strings.Join(counts, "; "))
	s.fact("steps after the restart", pending.Steps, []string{})
	return nil
}

func (s *story) change() error {
	web1, web3 := s.vms[0], s.vms[2]
	s.heading("6 web1's addresses are changed, and web3's prefix; web1's clients are told to renew (SIGUSR1)")
	started := time.Now()
	if err := s.rebind(web1, "addresses: [192.0.2.42/24, 2001:db8:1::42/64]"); err != nil {
		return err
	}
	if err := s.rebind(web3, "slaac: [2001:db8:b::/64]\ndhcp6: {mode: stateless}"); err != nil {
		return err
	}
	s.line("In force after %.1f s.", time.Since(started).Seconds())
	var err error
	for _, c := range web1.clients {
		err = errors.Join(err, c.run.cmd.Process.Signal(renew))
	}
	if err == nil {
		err = s.changed(started, ask{web1, v4}, ask{web1, v6}, ask{web3, v6})
	}
	if err != nil {
		return s.node.explain(err)
	}
	return s.afterChange(started)
}

func (s *story) rebind(v *vm, says string) error {
	if err := s.node.bind(v, says); err != nil {
		return err
	}
	return s.node.waitInForce(v)
}

// news is what a VM has after a change, and since when.
type news struct {
	want, got identity
	took      time.Duration
}

// changed waits until every one has what its file says now, and that alone.
func (s *story) changed(started time.Time, asks ...ask) error {
	all := map[ask]*news{}
	for _, a := range asks {
		want, _, err := s.bound(a)
		if err != nil {
			return err
		}
		all[a] = &news{want: want}
	}
	err := s.until(20*time.Second, "everybody to have what is new", func() bool {
		done := 0
		for a, n := range all {
			if s.learned(a, n, started) {
				done++
			}
		}
		return done == len(all)
	})
	for _, a := range asks {
		if n := all[a]; n.took > 0 {
			s.report(a, n)
		} else {
			err = fmt.Errorf("%w\n%s lacks %s; %s says:\n%s", err, a.vm.name, n.want.Address, a.client().tool, a.client().run.tail())
		}
	}
	return err
}

// learned notes the first time that a VM has what is new.
func (s *story) learned(a ask, n *news, started time.Time) bool {
	if n.took > 0 {
		return true
	}
	got, err := s.has(a)
	if err == nil && within(got, n.want).Address == n.want.Address {
		n.got, n.took = got, time.Since(started)
	}
	return n.took > 0
}

func (s *story) report(a ask, n *news) {
	ping, err := s.pingRouter(a, n.got)
	s.fact(fmt.Sprintf("%s pings the router from its new %s address: error", a.vm.name, a.family), err, nil)
	s.fact(fmt.Sprintf("%s of %s after the change", a.family, a.vm.name), within(n.got, n.want), n.want)
	s.line("%s has %-36s after %.1f s, and pings the router in %s", a.vm.name, n.got.Address, n.took.Seconds(), ping)
}

// afterChange tells how the VMs learned of it: web1 asked, web3 did not.
func (s *story) afterChange(started time.Time) error {
	web1, web3 := s.vms[0], s.vms[2]
	told, err := s.dialogue(web1, started)
	if err != nil {
		return err
	}
	s.line("web1 was answered %s.", strings.Join(told, ", "))
	s.holds("web1 was told NAK", slices.Contains(told, "REQUEST: NAK"))
	s.holds("web1's RENEW was answered", slices.Contains(told, "RENEW: REPLY"))
	asked, err := s.dialogue(web3, started)
	if err != nil {
		return err
	}
	s.fact("what web3 asked", asked, []string{})
	all, err := s.addresses(web3, v6, "global")
	if err != nil {
		return err
	}
	old := slices.DeleteFunc(all, func(a address) bool { return !a.Deprecated })
	s.fact("web3's deprecated addresses", len(old), 2)
	for _, a := range old {
		s.holds("web3's deprecated addresses are of the old prefix", netip.MustParsePrefix("2001:db8:a::/64").Contains(netip.MustParseAddr(a.Local)))
	}
	s.line("web3 asked for nothing: a router advertisement deprecated its %d addresses of the old prefix.", len(old))
	return nil
}

// dialogue is what a VM asked since then and was answered, oldest first;
// router solicitations aside.
func (s *story) dialogue(v *vm, since time.Time) ([]string, error) {
	nic, err := s.node.show(v)
	if err != nil || nic.Answers == nil {
		return nil, err
	}
	return words(nic.Answers.Last, since), nil
}

// words are questions with their answers since then, oldest first; router
// solicitations aside.
func words(last []api.Answer, since time.Time) []string {
	all := []string{}
	for _, a := range last {
		if a.Time.After(since) && a.Request != "RS" {
			all = append(all, a.Request+": "+a.Answer)
		}
	}
	slices.Reverse(all)
	return all
}
