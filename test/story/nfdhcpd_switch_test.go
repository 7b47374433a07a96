package story_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// former answers one guest's DHCP as nfdhcpd did, out of the tap's own packet
// socket, with a T1 of seconds, so that a client soon renews.
type former struct {
	s    *formerSite
	g    *guest
	t1   uint32
	fd   int
	stop chan struct{}
	done sync.WaitGroup
}

func (s *formerSite) former(g *guest, t1 uint32) *former {
	s.t.Helper()
	f := &former{s: s, g: g, t1: t1, stop: make(chan struct{})}
	var err error
	s.ns.Do(func() { f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		s.t.Fatalf("packet socket: %v", err)
	}
	ear := testenv.Capture(s.t, s.ns, g.port)
	f.done.Go(func() { f.run(ear) })
	s.t.Cleanup(f.end)
	return f
}

func (f *former) end() {
	select {
	case <-f.stop:
	default:
		close(f.stop)
		f.done.Wait()
		unix.Close(f.fd)
	}
}

func (f *former) run(ear *testenv.Sniffer) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	seen := 0
	for {
		frames := ear.Frames()
		for _, x := range frames[seen:] {
			if m := dhcpIn(x); m != nil && m.OpCode == dhcpv4.OpcodeBootRequest {
				f.answer(m)
			}
		}
		seen = len(frames)
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
	}
}

// answer writes what nfdhcpd wrote: all options whatever was asked, one option
// 6 a server, and neither T2 nor anything of the client's but its header.
func (f *former) answer(m *dhcpv4.DHCPv4) {
	kind := dhcpv4.MessageTypeAck
	if m.MessageType() == dhcpv4.MessageTypeDiscover {
		kind = dhcpv4.MessageTypeOffer
	}
	b := append([]byte(nil), m.ToBytes()[:240]...)
	b[0] = byte(dhcpv4.OpcodeBootReply)
	copy(b[16:20], f.g.addr.AsSlice())
	b = option(b, 12, []byte(f.g.port+".example.org"))
	b = option(b, 15, []byte("example.org"))
	b = option(b, 28, net.IP{203, 0, 113, 255})
	b = option(b, 1, net.IP{255, 255, 255, 0})
	b = option(b, 58, binary.BigEndian.AppendUint32(nil, f.t1))
	b = option(b, 51, binary.BigEndian.AppendUint32(nil, 604800))
	b = option(b, 3, net.IP{203, 0, 113, 1})
	b = option(b, 26, []byte{0x05, 0xa2})
	b = option(b, 6, net.IP{198, 51, 100, 1})
	b = option(b, 6, net.IP{198, 51, 100, 2})
	b = option(b, 53, []byte{byte(kind)})
	b = option(b, 54, net.IP{192, 0, 2, 1})
	reply := frame(udp{
		EthSrc: nic.MAC{0x02, 0, 0, 0, 0, 0xb0}, EthDst: f.g.mac, Src: ip(formerServer), Dst: f.g.addr,
		SrcPort: 67, DstPort: 68, Payload: append(b, 255),
	})
	// ENOBUFS is how a sender hears that berth drops it.
	err := unix.Sendto(f.fd, reply, 0, &unix.SockaddrLinklayer{Ifindex: f.s.ns.Index(f.g.port)})
	if err != nil && !errors.Is(err, unix.ENOBUFS) {
		f.s.t.Errorf("the former server sends: %v", err)
	}
}

func option(b []byte, code byte, data []byte) []byte {
	return append(append(b, code, byte(len(data))), data...)
}

// isRenewal matches a guest's unicast REQUEST to the former server, by way of
// its default router.
func (s *formerSite) isRenewal(g *guest) testenv.Filter {
	return func(f testenv.Frame) bool {
		u, err := wire.ParseUDP4(f.Data)
		m := dhcpIn(f)
		return err == nil && m != nil && u.EthSrc == g.mac && u.EthDst == s.lan.mac && u.Src == g.addr && u.Dst == ip(formerServer) &&
			m.MessageType() == dhcpv4.MessageTypeRequest && m.ClientIPAddr.String() == g.addr.String()
	}
}

// TestNFDHCPDSwitch: a client holds a lease of nfdhcpd's; berthd is started
// beside it with its files and nfdhcpd is stopped. The client's renewal, by
// unicast to the server identifier that no host has, is acknowledged with what
// it was told before, and nobody else has seen it.
func TestNFDHCPDSwitch(t *testing.T) {
	renewNow := func(p *process) { p.signal(syscall.SIGUSR1) }
	atT1 := func(*process) {}
	for _, c := range []struct {
		name   string
		client client
		renew  func(p *process)
	}{
		{"dhclient", dhclient{}, atT1},
		{"dhcpcd", dhcpcd{}, atT1},
		{"networkd", networkd{}, atT1},
		{"udhcpc", udhcpc{}, renewNow}, // it looks at no T1
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newFormerSite(t, 300)
			vm := s.vms[0]
			old := s.former(vm, 3)
			p := c.client.start(t, vm)
			waitLease(t, c.client, vm, vm.addr.String(), soon)

			s.start()
			s.put("vm1", vm.bridgedFile())
			s.attach("vm1")
			w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
			c.renew(p)
			request := w.at["vm1"].Wait(soon, "a unicast renewal", s.isRenewal(vm))
			f := ear.Wait(soon, "its ACK", replyTo(dhcpIn(request).TransactionID))
			old.end()

			ack := dhcpIn(f)
			isTold(t, ack, vm.addr, vm.whatNfdhcpdTold())
			if u, err := wire.ParseUDP4(f.Data); err != nil || u.Src != ip(formerServer) || u.Dst != vm.addr || u.EthDst != vm.mac {
				t.Errorf("the ACK comes from %s to %s, %s (%v)", u.Src, u.Dst, u.EthDst, err)
			}
			if n := count(ear.Frames(), replyTo(ack.TransactionID)); n != 1 {
				t.Errorf("the guest got %d answers, want berth's alone", n)
			}
			fence(t, vm, w.at[uplink])
			w.contained()
			if out := vm.Exec("ip", "-4", "-o", "address", "show", "dev", "eth0"); !strings.Contains(out, fmt.Sprintf(" %s/24 ", vm.addr)) {
				t.Errorf("the guest has %s", out)
			}
			s.settled("vm1")
		})
	}
}

// TestNFDHCPDLeaseFile: a guest that starts again with dhclient's own lease
// file, as nfdhcpd's lease left it, has its address confirmed at once.
func TestNFDHCPDLeaseFile(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	vm := s.vms[0]
	s.start()
	s.bindFiles()
	now := time.Now().Unix()
	writeFile(t, vm.dir+"/dhclient.leases", fmt.Sprintf(`lease {
  interface "eth0";
  fixed-address %s;
  option subnet-mask 255.255.255.0;
  option dhcp-renewal-time 3600;
  option routers 203.0.113.1;
  option dhcp-lease-time 604800;
  option dhcp-message-type 5;
  option dhcp-server-identifier %s;
  renew epoch %d;
  rebind epoch %d;
  expire epoch %d;
}
`, vm.addr, formerServer, now-60, now+500000, now+604800))
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	dhclient{}.start(t, vm)
	l := waitLease(t, dhclient{}, vm, vm.addr.String(), soon)
	want := lease{
		"reason": "REBOOT", "new_ip_address": "203.0.113.11", "new_dhcp_server_identifier": formerServer,
		"new_host_name": "vm1.example.org", "new_dhcp_lease_time": "604800", "new_dhcp_renewal_time": "3600",
	}
	got := lease{}
	for k := range want {
		got[k] = l[k]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what dhclient reports (-want +got):\n%s", diff)
	}
	ack := ear.Wait(soon, "the ACK", reply(vm.mac, dhcpv4.MessageTypeAck))
	isTold(t, dhcpIn(ack), vm.addr, vm.whatNfdhcpdTold())
	ear.None("an OFFER", reply(vm.mac, dhcpv4.MessageTypeOffer))
	w.contained()
}

// TestNFDHCPDRulesLeft: nfdhcpd is gone and its rules are still there; a queue
// that nobody reads is a drop. What berth answers never comes to them; the DHCP
// of an unmanaged VM gets out again with the rules' removal.
func TestNFDHCPDRulesLeft(t *testing.T) {
	t.Parallel()
	s := newFormerSite(t, 300)
	s.ns.Sh(`nft -f - <<'END'
table bridge nfdhcpd {
  chain prerouting {
    type filter hook prerouting priority -150
    udp dport 67 drop
    icmpv6 type nd-router-solicit drop
  }
}
END`)
	s.start()
	s.bindFiles()
	w, vm := s.watch(), s.vms[0]
	isTold(t, s.renewsOn(vm), vm.addr, vm.whatNfdhcpdTold())
	if got, _ := solicits(t, vm, "::"); !slices.Equal(got, advertisement("3840", 300)) {
		t.Errorf("advertised %q", got)
	}
	discover := s.free.broadcast(s.free.request(t, dhcpv4.MessageTypeDiscover))
	testenv.Inject(t, s.free.NS, "eth0", discover)
	fence(t, s.free, w.at[uplink])
	w.at[uplink].None("DHCP of the unmanaged VM", dhcpOf(s.free.mac))
	s.ns.Exec("nft", "delete", "table", "bridge", "nfdhcpd")
	testenv.Inject(t, s.free.NS, "eth0", discover)
	w.at[uplink].Wait(soon, "DHCP of the unmanaged VM", dhcpOf(s.free.mac))
	w.contained()
}
