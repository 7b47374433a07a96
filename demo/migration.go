package main

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/berth-net/berth/internal/fleet"
)

// tenure shows who has an address.
func (e *estate) tenure() error {
	e.heading("15 Who had that address?")
	return e.whoHad("n1")
}

// whoHad prints who had db0's address, and holds that to be db0 from a node on.
func (e *estate) whoHad(node string) error {
	address, err := e.own(e.vms[0])
	if err != nil {
		return err
	}
	if _, _, err := e.as(head, "berth who-had "+address.String()+" | cut -c-96"); err != nil {
		return err
	}
	all, err := e.site.WhoHad(e.ctx, address, "lan", time.Time{})
	if err != nil {
		return e.explain(err)
	}
	now := slices.IndexFunc(all, func(t fleet.Tenure) bool { return t.To == nil })
	e.holds("somebody has db0's address", now >= 0)
	if now >= 0 {
		e.fact("who has db0's address, and where", all[now].Owner+" on "+all[now].Node, "nic:db0-0 on "+node)
		e.fact("with which MAC", all[now].MAC, e.vms[0].mac)
	}
	return nil
}

// migration moves db0 from n1 to n2 while it pings the router.
func (e *estate) migration() error {
	v := e.vms[0]
	e.heading("16 db0 moves to n2 while it pings the router twenty times a second")
	before, duid, err := e.leases(v)
	if err != nil {
		return err
	}
	pings, err := e.start("ping", v.name, "ping", "-n", "-D", "-O", "-i", "0.05", lanRouter)
	if err != nil {
		return err
	}
	if err := e.answered(pings); err != nil {
		return err
	}
	started := time.Now()
	if err := e.move(v); err != nil {
		return err
	}
	if err := e.answered(pings); err != nil {
		return err
	}
	pings.stop(syscall.SIGINT)
	if err := e.tellPings(pings); err != nil {
		return err
	}
	if err := e.sameLease(v, before, duid, started); err != nil {
		return err
	}
	return e.siteSaw(v)
}

// leases is what a VM was told, and the DUID of the server that has told it.
func (e *estate) leases(v *vm) (map[family]identity, string, error) {
	all := map[family]identity{}
	for _, f := range families() {
		id, err := e.has(ask{v, f})
		if err != nil {
			return nil, "", err
		}
		all[f] = id
	}
	record, err := os.ReadFile(e.path(ask{v, v6}.file("lease")))
	if err != nil {
		return nil, "", err
	}
	_, duid, _ := strings.Cut(string(record), "duid=")
	duid, _, _ = strings.Cut(duid, "\n")
	e.holds("the client of "+v.name+" knows its server's DUID", duid != "")
	return all, duid, nil
}

// move is the migration, in the order in which a hypervisor does it.
func (e *estate) move(v *vm) error {
	if err := e.plugTap(v, "n2"); err != nil {
		return err
	}
	if err := e.passes(v, "n2", false); err != nil {
		return err
	}
	nic := v.name + "-0"
	if err := e.step("berth migrate "+nic+" --to n2 --prepare", 0); err != nil {
		return err
	}
	e.line("The hypervisors move the VM's memory, and its wire:")
	e.prompt(hub(v.name), "bridge link set dev n1 state 0; bridge link set dev n2 state 3")
	if err := e.passes(v, "n1", false); err != nil {
		return err
	}
	if err := e.passes(v, "n2", true); err != nil {
		return err
	}
	if err := e.step("berth migrate "+nic+" --activate", 0); err != nil {
		return err
	}
	return e.step("berth migrate "+nic+" --complete", 0)
}

func (e *estate) step(command string, want int) error {
	_, code, err := e.as(head, command)
	e.fact("exit code of `"+command+"`", code, want)
	return err
}

// answered waits until ten more pings are answered.
func (e *estate) answered(pings *process) error {
	before, err := replies(pings.log)
	if err != nil {
		return err
	}
	return e.explain(e.until(10*time.Second, "db0's pings to be answered", func() bool {
		now, err := replies(pings.log)
		return err == nil && len(now) >= len(before)+10
	}))
}

// echo is one reply of ping -D.
type echo struct {
	at  time.Time
	seq int
}

// replies reads what ping -D has printed so far.
func replies(file string) ([]echo, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	form := regexp.MustCompile(`^\[([0-9]+)\.([0-9]{6})\] .* icmp_seq=([0-9]+) ttl=`)
	var all []echo
	for in := bufio.NewScanner(f); in.Scan(); {
		m := form.FindStringSubmatch(in.Text())
		if m == nil {
			continue
		}
		seconds, _ := strconv.ParseInt(m[1], 10, 64) // digits, as for the others
		micros, _ := strconv.ParseInt(m[2], 10, 64)
		seq, _ := strconv.Atoi(m[3])
		all = append(all, echo{time.Unix(seconds, micros*1000), seq})
	}
	return all, nil
}

// tellPings prints how many pings were lost, and the longest pause.
func (e *estate) tellPings(pings *process) error {
	all, err := replies(pings.log)
	if err != nil || len(all) == 0 {
		return fmt.Errorf("%w: no ping was answered: %s", err, pings.tail())
	}
	longest := time.Duration(0)
	for i := range all[1:] {
		longest = max(longest, all[i+1].at.Sub(all[i].at))
	}
	sent := all[len(all)-1].seq
	e.line("%d of %d pings were answered; the longest pause was %.2f s.", len(all), sent, longest.Seconds())
	e.holds("ten pings were answered before the move, and ten behind it", len(all) >= 20)
	return nil
}

// sameLease has the VM renew at n2, and compares what it was told with what it
// had from n1.
func (e *estate) sameLease(v *vm, before map[family]identity, duid string, since time.Time) error {
	for _, f := range families() {
		if err := e.renewed(ask{v, f}); err != nil {
			return e.explain(err)
		}
	}
	after, now, err := e.leases(v)
	if err != nil {
		return err
	}
	e.fact("what db0 has after it moved", after, before)
	e.fact("the DUID of db0's DHCPv6 server after it moved", now, duid)
	var told []string
	err = e.until(10*time.Second, "n2 to tell that it has answered db0's REQUEST with ACK and its RENEW with REPLY", func() bool {
		told, err = e.dialogue(e.nodes[1], v, since)
		return err != nil || slices.Contains(told, "REQUEST: ACK") && slices.Contains(told, "RENEW: REPLY")
	})
	if err != nil {
		return e.explain(err)
	}
	e.holds("n2 has told db0 no NAK", !slices.ContainsFunc(told, func(s string) bool { return strings.HasSuffix(s, "NAK") }))
	e.line("db0 renews (SIGUSR1) and n2 answers %s:", strings.Join(slices.Compact(told), ", "))
	e.line("  %s and %s, as before, from server %s", after[v4].Address, after[v6].Address, after[v4].Server)
	e.line("  and the DHCPv6 server of DUID %s, as before.", now)
	return nil
}

// renewed has a client renew, and waits until that is answered.
func (e *estate) renewed(a ask) error {
	if err := os.Remove(e.path(a.file("lease"))); err != nil {
		return err
	}
	return e.renew(a, func(identity) bool { return true })
}

// dialogue is what a VM asked a node since then and was answered, oldest first.
func (e *estate) dialogue(m *member, v *vm, since time.Time) ([]string, error) {
	nic, err := m.client.NIC(e.ctx, v.tap())
	if err != nil || nic.Answers == nil {
		return nil, err
	}
	return words(nic.Answers.Last, since), nil
}

// siteSaw counts what both nodes sent to the LAN of the VM that moved.
func (e *estate) siteSaw(v *vm) error {
	own, err := e.own(v)
	if err != nil {
		return err
	}
	from := "ether src " + v.mac.String()
	source, target := e.nodes[0], e.nodes[1]
	garps, err := target.lan.count(from + " and arp and arp[14:4] = arp[24:4]")
	if err != nil {
		return err
	}
	advertised, err := target.lan.count(from + " and icmp6 and ip6[40] = 136 and dst host ff02::1")
	if err != nil {
		return err
	}
	e.holds("the LAN heard gratuitous ARP for db0 at its port to n2", garps > 0)
	e.holds("the LAN heard unsolicited neighbour advertisements for db0 at its port to n2", advertised > 0)
	e.line("n2 told the LAN where db0 is now: %d frames of gratuitous ARP, %d neighbour advertisements.", garps, advertised)
	port, err := e.portOf(v)
	e.fact("the LAN's port for db0", port, target.name)
	if err != nil {
		return err
	}
	at, err := e.neighbour(lan, lan, own.String())
	e.fact("where the router has db0's address", at, v.mac)
	if err != nil {
		return err
	}
	return e.unheard(source, target)
}

// portOf is the port at which the LAN's switch has a VM.
func (e *estate) portOf(v *vm) (string, error) {
	var all []struct {
		Port string `json:"ifname"`
		MAC  string `json:"mac"`
	}
	err := e.json(&all, "bridge", "-n", lan, "-j", "fdb", "show", "br", lan)
	for _, entry := range all {
		if entry.MAC == v.mac.String() {
			return entry.Port, err
		}
	}
	return "none", err
}

// unheard counts DHCP, DHCPv6 and router discovery of all VMs on the LAN.
func (e *estate) unheard(members ...*member) error {
	broadcasts, frames := e.vms[0], 0
	own, err := e.own(broadcasts)
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := m.lan.fenceFrom(broadcasts, own, lanBroadcast()); err != nil {
			return err
		}
		for _, t := range talks() {
			n, err := m.lan.count(t.filter)
			if err != nil {
				return err
			}
			frames += n
		}
	}
	e.fact("DHCP, DHCPv6, RS and RA that the LAN has heard", frames, 0)
	e.line("Of DHCP, DHCPv6 and router discovery the LAN has heard %d frames in all.", frames)
	return nil
}

// moved shows who had the address, now that its VM is elsewhere, and who moved it.
func (e *estate) moved() error {
	e.heading("17 And who had it, after that?")
	if err := e.whoHad("n2"); err != nil {
		return err
	}
	said, _, err := e.as(head, "berth history nic db0-0")
	for _, word := range []string{"migrate", "activate", "complete", "user:alice"} {
		e.holds("the history of db0's NIC has "+word, strings.Contains(said, word))
	}
	return err
}
