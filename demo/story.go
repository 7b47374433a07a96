package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
)

// story is the demo's first act, scene after scene: one host. The second is estate.
type story struct {
	*room
	*screen
	node  *node
	vms   []*vm // web1 to web4, legacy
	more  troupe
	lan   *wiretap
	begin time.Time
}

func inside(ctx context.Context, bin string, act int) error {
	r, err := newRoom(ctx, bin)
	if err != nil {
		return err
	}
	defer r.close()
	s := &story{room: r, screen: newScreen(os.Stdout), vms: cast(), more: newcomers(), begin: time.Now()}
	e := &estate{room: r, screen: s.screen}
	acts := [][]func() error{
		{s.opening, s.leases, s.silence, s.attacks, s.explanation, s.crash, s.change, s.predecession, s.pair, s.tenants, s.imported, s.removal},
		{e.opening, e.enrolment, e.request, e.refusals, e.tenure, e.migration, e.moved, e.absence, e.closing},
	}
	if act > 0 && act <= len(acts) {
		acts = acts[act-1 : act]
	}
	for _, scene := range slices.Concat(acts...) {
		err := scene()
		if ctx.Err() != nil {
			return fmt.Errorf("stopped: %w", ctx.Err()) // what failed, failed for that
		}
		if err != nil {
			return err
		}
	}
	return s.verdict(time.Since(s.begin))
}

func (s *story) managed() []*vm { return s.vms[:len(s.vms)-1] }

func (s *story) legacy() *vm { return s.vms[len(s.vms)-1] }

func (s *story) opening() error {
	if err := s.buildStage(s.vms); err != nil {
		return err
	}
	if err := s.startSite(); err != nil {
		return err
	}
	var err error
	if s.lan, err = s.listen(hypervisor, lanPort); err != nil {
		return err
	}
	if s.node, err = s.newNode(); err != nil {
		return err
	}
	for _, v := range s.managed() {
		if err := s.node.bind(v, v.says); err != nil {
			return err
		}
	}
	if err := s.node.start(); err != nil {
		return err
	}
	for _, v := range s.managed() {
		if err := s.node.waitInForce(v); err != nil {
			return err
		}
	}
	return s.introduce()
}

func (s *story) introduce() error {
	st, err := s.node.client.Status(s.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, s.paint("1", "berth: five VMs on a hypervisor's bridge, and a LAN with DHCP, DHCPv6 and an IPv6 router of its own."))
	s.line("A file each binds web1 to an address of either family, web2 to one of IPv6, web4 to one of IPv4,")
	s.line("web3 to a prefix to make its own in. legacy has no file: it belongs to the site alone.")
	s.line("kernel %s, berthd %s, guards at %s, second lock %s", st.Kernel, st.Version, st.Attach, st.Lock)
	return nil
}

// columns of the table of identities.
const identityRow = "%-7s%-13s%-36s%-11s%-14s%-6s%s"

func (s *story) leases() error {
	s.heading("1 All five ask who they are: kernels, and three different DHCP clients")
	started := time.Now()
	if err := s.startClients(); err != nil {
		return err
	}
	s.line(identityRow, "", "", "address", "router", "DNS", "MTU", "lifetime")
	pings := map[family][]string{}
	for _, v := range s.vms {
		for _, f := range families() {
			if v.clients[f] == nil {
				continue
			}
			took, err := s.tell(ask{v, f})
			if err != nil {
				return s.node.explain(err)
			}
			if took != "" {
				pings[f] = append(pings[f], v.name+" "+took)
			}
		}
	}
	s.line("All of it after %.1f s; what web3 made is a temporary address. They ping the router", time.Since(started).Seconds())
	for _, f := range families() {
		s.line("by %s: %s", f, strings.Join(pings[f], ", "))
	}
	return nil
}

func (s *story) startClients() error {
	for _, v := range s.vms {
		if err := s.wake(v); err != nil {
			return err
		}
	}
	for _, f := range families() {
		for _, v := range s.vms {
			if v.clients[f] == nil {
				continue
			}
			if err := s.startClient(ask{v, f}); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell prints what a VM got in one family under what its file says, and
// returns how long the router took to answer it.
func (s *story) tell(a ask) (took string, err error) {
	want, bound, err := s.bound(a)
	if err != nil {
		return "", err
	}
	if !bound {
		return "", s.tellNothing(a)
	}
	got, err := s.waitIdentity(a)
	if err != nil {
		return "", err
	}
	name := s.introduced(a)
	if a.vm != s.legacy() {
		s.identity(name, "file says", want)
		s.fact(fmt.Sprintf("%s of %s", a.family, a.vm.name), within(got, want), want)
		name = ""
	} else {
		s.fact(fmt.Sprintf("the DNS server that legacy has by %s", a.family), got.DNS, map[family]string{v4: server, v6: server6}[a.family])
	}
	s.identity(name, a.client().got(), got)
	took, err = s.pingRouter(a, got)
	s.fact(fmt.Sprintf("%s pings the router by %s: error", a.vm.name, a.family), err, nil)
	return took, nil
}

// introduced is the name of a VM where the table comes to it, and nothing in
// its further lines.
func (s *story) introduced(a ask) string {
	if a.family == v6 && a.vm.clients[v4] != nil {
		return ""
	}
	return a.vm.name
}

// bound is what the file of a VM says of it in one family. legacy has none:
// it gets what the site gives.
func (s *story) bound(a ask) (identity, bool, error) {
	if a.vm == s.legacy() {
		return identity{}, true, nil
	}
	b, err := s.node.declared(a.vm)
	if err != nil {
		return identity{}, false, err
	}
	id, ok := identityOf(b, a.family)
	return id, ok, nil
}

// tellNothing is for a VM that asks in vain, for longer by now than the others
// had to.
func (s *story) tellNothing(a ask) error {
	got, err := s.addresses(a.vm, a.family, "global")
	if err != nil {
		return err
	}
	_, err = s.has(a)
	s.holds(fmt.Sprintf("%s was told nothing by %s", a.vm.name, a.family), err != nil && len(got) == 0)
	s.line(identityRow, "", a.client().tool, fmt.Sprintf("got no %s address: see 4", a.family), "", "", "", "")
	return nil
}

// within puts the prefix that a VM is bound to in place of the address that it
// made there.
func within(got, want identity) identity {
	prefix, err := netip.ParsePrefix(want.Address)
	if err != nil || prefix != prefix.Masked() {
		return got
	}
	if made, err := netip.ParsePrefix(got.Address); err == nil && made.Masked() == prefix {
		got.Address = want.Address
	}
	return got
}

func (s *screen) identity(name, who string, id identity) {
	s.line(identityRow, name, who, id.Address, id.Router, id.DNS, id.MTU, id.Lifetime)
}

func (s *story) pingRouter(a ask, from identity) (string, error) {
	return s.reaches(a.vm, from.addr(), map[family]string{v4: router, v6: router6}[a.family])
}
