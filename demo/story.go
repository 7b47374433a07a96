package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/api"
)

// story is the demo, scene after scene.
type story struct {
	*room
	*screen
	node  *node
	vms   []*vm // web1, web2, web3, legacy
	lan   *wiretap
	begin time.Time
}

func inside(ctx context.Context, bin string) error {
	r, err := newRoom(ctx, bin)
	if err != nil {
		return err
	}
	defer r.close()
	s := &story{room: r, screen: newScreen(os.Stdout), vms: cast(), begin: time.Now()}
	for _, scene := range []func() error{
		s.opening, s.leases, s.silence, s.attacks, s.explanation, s.crash, s.change, s.removal,
	} {
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

// address is what the n-th managed VM is bound to at first.
func address(n int) string { return fmt.Sprintf("192.0.2.%d", 11+n) }

func (s *story) opening() error {
	if err := s.buildStage(s.vms); err != nil {
		return err
	}
	if err := s.startSite(); err != nil {
		return err
	}
	var err error
	if s.lan, err = s.listen(lanPort); err != nil {
		return err
	}
	if s.node, err = s.newNode(); err != nil {
		return err
	}
	for n, v := range s.managed() {
		if err := s.node.bind(v, address(n)); err != nil {
			return err
		}
	}
	if err := s.node.start(); err != nil {
		return err
	}
	for n, v := range s.managed() {
		if err := s.node.waitInForce(v, address(n)); err != nil {
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
	fmt.Fprintln(s.out, s.paint("1", "berth: four VMs on the bridge of a hypervisor, and a LAN that has a DHCP server of its own."))
	s.line("web1, web2, web3 have a binding file each. legacy has none: it belongs to the site alone.")
	s.line("kernel %s, berthd %s, guards at %s, second lock %s", st.Kernel, st.Version, st.Attach, st.Lock)
	return nil
}

// columns of the table of identities.
const identityRow = "%-7s%-15s%-15s%-11s%-22s%-6s%-6s%-7s%s"

func (s *story) leases() error {
	s.heading("1 All four ask for an address, by three different DHCP clients")
	started := time.Now()
	for _, v := range s.vms {
		if err := s.startClient(v); err != nil {
			return err
		}
	}
	s.line(identityRow, "VM", "", "address", "gateway", "DNS", "name", "MTU", "lease", "server")
	var pings []string
	for _, v := range s.vms {
		got, err := s.waitLease(v, 20*time.Second)
		if err != nil {
			return s.node.explain(err)
		}
		if err := s.compare(v, got); err != nil {
			return err
		}
		took, err := s.ping(v)
		s.fact(v.name+" pings the router: error", err, nil)
		pings = append(pings, v.name+" "+took)
	}
	s.line("Leases after %.1f s. Router pinged: %s", time.Since(started).Seconds(), strings.Join(pings, ", "))
	return nil
}

// compare prints what a VM got under what its binding says.
func (s *story) compare(v *vm, got identity) error {
	name := v.name
	if v != s.legacy() {
		want, err := declared(s.node.bindingFile(v))
		if err != nil {
			return err
		}
		s.identity(name, v.name+".yaml says", want)
		s.fact(v.name+"'s identity", got, want)
		name = ""
	} else {
		s.fact("the server that legacy took its lease from", got.Server, server)
	}
	s.identity(name, v.client+" got", got)
	return nil
}

func (s *story) identity(name, who string, id identity) {
	s.line(identityRow, name, who, id.Address, id.Gateway, id.DNS, cmp.Or(id.Hostname, "-"), id.MTU, id.Lease, id.Server)
}

func (s *story) silence() error {
	s.heading("2 What the LAN saw of it: tcpdump on the bridge's LAN port, and the log of the site's server")
	if err := s.lan.fence(s.attacker()); err != nil {
		return err
	}
	const dhcp = "(udp port 67 or udp port 68) and "
	var macs []string
	for _, v := range s.managed() {
		macs = append(macs, "ether host "+v.mac.String())
	}
	managed, err := s.lan.count(dhcp + "(" + strings.Join(macs, " or ") + ")")
	if err != nil {
		return err
	}
	legacy, err := s.lan.count(dhcp + "ether host " + s.legacy().mac.String())
	if err != nil {
		return err
	}
	heard, err := s.heardBySite()
	if err != nil {
		return err
	}
	s.line("DHCP packets of web1, web2, web3: %d   of legacy: %d   the site's server heard: %s", managed, legacy, strings.Join(heard, ", "))
	s.fact("DHCP packets of managed VMs on the LAN", managed, 0)
	s.holds("four or more DHCP packets of legacy on the LAN", legacy >= 4)
	s.fact("clients the site's server heard", heard, []string{"legacy"})
	return nil
}

// heardBySite names the VMs whose MAC is in the log of the site's server.
func (s *story) heardBySite() ([]string, error) {
	log, err := os.ReadFile(s.path("dnsmasq.log"))
	var names []string
	for _, v := range s.vms {
		if strings.Contains(string(log), v.mac.String()) {
			names = append(names, v.name)
		}
	}
	return names, err
}

// attacker is web1 turned hostile: it wants to be web2 and the router.
func (s *story) attacker() attacker {
	return attacker{vm: s.vms[0], own: netip.MustParseAddr(address(0)), victimMAC: s.vms[1].mac, victim: netip.MustParseAddr(router)}
}

// control is legacy, which nobody guards, doing the same to nobody: it shows
// that the capture would have seen the frames.
func (s *story) control() (attacker, error) {
	got, err := s.has(s.legacy())
	if err != nil {
		return attacker{}, err
	}
	own, err := netip.ParsePrefix(got.Address)
	nobody := s.legacy().mac
	nobody[5] = 0xee
	return attacker{vm: s.legacy(), own: own.Addr(), victimMAC: nobody, victim: netip.MustParseAddr("192.0.2.99")}, err
}

// shots is how many frames of each kind are sent.
const shots = 5

func (s *story) attacks() error {
	s.heading("3 web1 turns hostile: %d forged frames of each kind. legacy does the same, unguarded", shots)
	control, err := s.control()
	if err != nil {
		return err
	}
	before, err := s.dropped()
	if err != nil {
		return err
	}
	if err := s.forge(s.attacker()); err != nil {
		return err
	}
	after, err := s.dropped()
	if err != nil {
		return err
	}
	if err := s.forge(control); err != nil {
		return err
	}
	return s.score(control, before, after)
}

// forge sends every kind of forged frame, and returns when what passed of
// them has reached the LAN.
func (s *story) forge(a attacker) error {
	for _, attack := range a.attacks() {
		if err := s.send(a.vm, attack.frame, shots); err != nil {
			return err
		}
	}
	return s.lan.fence(a)
}

// score is the table of attacks.
func (s *story) score(control attacker, before, after map[string]uint64) error {
	controls := control.attacks()
	const row = "%-31s%-16s%-16s%-16s%s"
	s.line(row, "", "reason", "dropped", "web1's on LAN", "legacy's on LAN")
	for i, a := range s.attacker().attacks() {
		seen, err := s.lan.count(a.filter)
		if err != nil {
			return err
		}
		unguarded, err := s.lan.count(controls[i].filter)
		if err != nil {
			return err
		}
		dropped := after[a.reason.String()] - before[a.reason.String()]
		s.line(row, a.what, a.reason, fmt.Sprintf("%d of %d", dropped, shots), fmt.Sprint(seen), fmt.Sprint(unguarded))
		s.fact(a.what+": dropped", dropped, shots)
		s.fact(a.what+": web1's frames on the LAN", seen, 0)
		s.fact(a.what+": legacy's frames on the LAN", unguarded, shots)
	}
	return nil
}

// dropped is web1's drop counters.
func (s *story) dropped() (map[string]uint64, error) {
	nic, err := s.node.show(s.vms[0])
	if err != nil {
		return nil, s.node.explain(err)
	}
	if nic.Counters == nil {
		return nil, fmt.Errorf("NIC %s has no counters", nic.Name)
	}
	return nic.Counters.Dropped, nil
}

func (s *story) explanation() error {
	s.heading("4 What the operator is told")
	shown, err := s.node.berth("show", s.vms[0].tap())
	if err != nil {
		return err
	}
	s.line("$ berth show web1-tap    (its end; it also counts what legacy sent towards web1)")
	first := slices.IndexFunc(shown, func(l string) bool { return strings.HasPrefix(l, "frames") })
	s.holds("`berth show` tells of frames", first >= 0)
	for _, l := range shown[max(first, 0):] {
		s.line("  %s", s.paint("2", l))
	}
	events, err := s.node.berth("events", "--nic", s.vms[0].tap())
	if err != nil {
		return err
	}
	s.line("$ berth events --nic web1-tap | grep dropped | head -1")
	at := slices.IndexFunc(events, func(l string) bool { return strings.Contains(l, " dropped ") })
	s.holds("`berth events` tells of a forged frame", at >= 0)
	if at >= 0 {
		s.wrap(events[at])
	}
	return nil
}

func (s *story) crash() error {
	s.heading("5 berthd is killed (SIGKILL)")
	before, err := s.dropped()
	if err != nil {
		return err
	}
	lease, err := s.has(s.vms[0])
	if err != nil {
		return err
	}
	s.node.kill()
	_, gone := s.node.client.Status(s.ctx)
	s.holds("berthd does not answer", gone != nil)
	forged := s.attacker().attacks()[1]
	seen, err := s.forgeAgain(forged)
	if err != nil {
		return err
	}
	took, err := s.ping(s.vms[0])
	s.fact("web1 pings the router without berthd: error", err, nil)
	kept, _ := s.has(s.vms[0]) // no lease is a difference too
	s.fact("web1's lease without berthd", kept, lease)
	s.line("without it     web1 keeps %s and pings the router in %s;", kept.Address, took)
	s.line("               it sends %d more frames with %s: %d on the LAN", shots, forged.what, seen)
	return s.restart(forged, before[forged.reason.String()])
}

func (s *story) forgeAgain(forged attack) (seen int, err error) {
	if err := s.send(s.vms[0], forged.frame, shots); err != nil {
		return 0, err
	}
	if err := s.lan.fence(s.attacker()); err != nil {
		return 0, err
	}
	seen, err = s.lan.count(forged.filter)
	s.fact(forged.what+" without berthd: on the LAN", seen, 0)
	return seen, err
}

func (s *story) restart(forged attack, before uint64) error {
	started := time.Now()
	if err := s.node.start(); err != nil {
		return err
	}
	for n, v := range s.managed() {
		if err := s.node.waitInForce(v, address(n)); err != nil {
			return err
		}
	}
	took := time.Since(started)
	pending, err := s.node.client.Plan(s.ctx, nil)
	if err != nil {
		return s.node.explain(err)
	}
	after, err := s.dropped()
	if err != nil {
		return err
	}
	now := after[forged.reason.String()]
	s.line("started again  all in force after %.1f s, %d steps to do; %s counted: %d before, %d now",
		took.Seconds(), len(pending.Steps), forged.reason, before, now)
	s.fact("steps after the restart", pending.Steps, []string{})
	s.fact("drops counted over the crash", now-before, shots)
	return nil
}

func (s *story) change() error {
	web2, want := s.vms[1], "192.0.2.42"
	s.heading("6 web2's file is changed to %s; udhcpc is told to renew (SIGUSR1)", want)
	started := time.Now()
	if err := s.node.bind(web2, want); err != nil {
		return err
	}
	if err := s.node.waitInForce(web2, want); err != nil {
		return err
	}
	inForce := time.Since(started)
	if err := web2.run.cmd.Process.Signal(renew); err != nil {
		return err
	}
	err := s.until(20*time.Second, "web2 to have "+want, func() bool {
		got, err := s.has(web2)
		return err == nil && strings.HasPrefix(got.Address, want+"/")
	})
	if err != nil {
		return s.node.explain(fmt.Errorf("%w\nudhcpc says:\n%s", err, web2.run.tail()))
	}
	return s.afterChange(web2, inForce, time.Since(started))
}

func (s *story) afterChange(web2 *vm, inForce, renewed time.Duration) error {
	nic, err := s.node.show(web2)
	if err != nil {
		return err
	}
	want, err := declared(s.node.bindingFile(web2))
	if err != nil {
		return err
	}
	got, err := s.has(web2)
	if err != nil {
		return err
	}
	took, err := s.ping(web2)
	s.fact("web2 pings the router from its new address: error", err, nil)
	s.line("In force after %.1f s. web2 was answered: %s.", inForce.Seconds(), dialogue(nic))
	s.line("It has %s after %.1f s, and pings the router in %s.", got.Address, renewed.Seconds(), took)
	s.fact("web2's identity after the change", got, want)
	s.holds("web2 was told NAK", nic.Answers != nil && nic.Answers.Count["NAK"] > 0)
	s.holds("the change took less than ten seconds", renewed < 10*time.Second)
	return nil
}

// dialogue is the last exchanges, oldest first, from the NAK on.
func dialogue(n api.NIC) string {
	if n.Answers == nil {
		return "nothing"
	}
	var words []string
	for _, a := range n.Answers.Last {
		words = append(words, fmt.Sprintf("%s: %s", a.Request, a.Answer))
		if a.Answer == "NAK" {
			break
		}
	}
	slices.Reverse(words)
	return strings.Join(words, ", ")
}
