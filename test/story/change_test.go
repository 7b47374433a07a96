package story_test

import (
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/testenv"
	"github.com/berth-net/berth/internal/wire"
)

// TestBindingChange: a file is renamed over another while the client holds the
// old address. Told to renew, the client is refused and has the new address
// within ten seconds.
func TestBindingChange(t *testing.T) {
	renew := func(p *process, _ *guest) { p.signal(syscall.SIGUSR1) }
	for _, c := range []struct {
		name   string
		client client
		more   string // of the binding
		renew  func(p *process, g *guest)
	}{
		{"udhcpc", udhcpc{}, "", renew},
		// These can't be told to renew and wait for T1. The unicast is not heard
		// then, since the ARP for the server would be in the old address's name;
		// the broadcast at T2 is.
		{"dhclient", dhclient{}, "dhcp4: {lease: 60s, t1: 2s, t2: 4s}\n", func(*process, *guest) {}},
		{"dhcpcd", dhcpcd{}, "", func(p *process, g *guest) {
			g.Exec("nsenter", "--mount=/proc/"+strconv.Itoa(p.pid())+"/ns/mnt", needTool(t, "dhcpcd"), "-4", "-n", "eth0")
		}},
		{"networkd", networkd{}, "dhcp4: {lease: 60s, t1: 2s, t2: 4s}\n", func(*process, *guest) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			vm := s.vms[0]
			s.start()
			s.write("vm1.yaml", vm.bindingWith("192.0.2.11", c.more))
			s.attach("vm1")
			p := c.client.start(t, vm)
			waitLease(t, c.client, vm, "192.0.2.11", 20*time.Second)
			w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
			s.write("vm1.yaml", vm.bindingWith("192.0.2.31", c.more))
			testenv.Wait(t, 2*time.Second, "the new rules", func() bool {
				return s.show("vm1").Installed.Sources[0].String() == "192.0.2.31/32"
			})
			c.renew(p, vm)
			waitLease(t, c.client, vm, "192.0.2.31", 10*time.Second)
			nak := dhcpIn(ear.Wait(time.Second, "the NAK", reply(vm.mac, dhcpv4.MessageTypeNak)))
			want := dhcpv4.OptionsFromList(
				dhcpv4.OptMessageType(dhcpv4.MessageTypeNak), dhcpv4.OptServerIdentifier(net.IP{192, 0, 2, 1}),
				dhcpv4.OptMessage("address does not belong to this interface"))
			delete(nak.Options, 61) // echoed, RFC 6842
			if diff := cmp.Diff(want, nak.Options); diff != "" {
				t.Errorf("options of the NAK (-want +got):\n%s", diff)
			}
			if !nak.YourIPAddr.IsUnspecified() {
				t.Errorf("the NAK gives %s", nak.YourIPAddr)
			}
			w.contained()
		})
	}
}

// TestRenewalToAnyServer: a client renews by unicast with whom it took for its
// server. Whoever that was, berth answers, and nobody else hears it.
func TestRenewalToAnyServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	vm := s.vms[0]
	s.serveLAN()
	s.start()
	s.bindAll()
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	for _, server := range []string{
		"192.0.2.1",    // the gateway, whose address the site's own server has, too
		"192.0.2.254",  // a server identifier of an earlier binding
		"198.51.100.9", // the server of another site
		"192.0.2.12",   // another VM
	} {
		m := vm.request(t, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(net.IP{192, 0, 2, 11}))
		testenv.Inject(t, vm.NS, "eth0", vm.unicast(m, server))
		ack := dhcpIn(ear.Wait(2*time.Second, "the answer to a renewal with "+server, replyTo(m.TransactionID)))
		got := []string{ack.MessageType().String(), ack.YourIPAddr.String(), ack.ServerIdentifier().String()}
		if diff := cmp.Diff([]string{"ACK", "192.0.2.11", "192.0.2.1"}, got); diff != "" {
			t.Errorf("renewal with %s (-want +got):\n%s", server, diff)
		}
	}
	fence(t, vm, w.at[uplink])
	w.contained()
	if l := s.leases(); len(l) != 0 {
		t.Errorf("the site's server gave leases: %v", l)
	}
}

// TestClientRenews: at T1 a client asks the server it knows, by unicast and
// through its own kernel. It keeps its address and nobody else hears it.
func TestClientRenews(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	vm := s.vms[0]
	s.start()
	s.write("vm1.yaml", vm.bindingWith("192.0.2.11", "dhcp4: {lease: 60s, t1: 2s, t2: 50s}\n"))
	s.attach("vm1")
	w, ear := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	dhclient{}.start(t, vm)
	renewal := dhcpIn(w.at["vm1"].Wait(10*time.Second, "a unicast renewal", func(f testenv.Frame) bool {
		u, err := wire.ParseUDP4(f.Data)
		return err == nil && u.Src == ip("192.0.2.11") && u.Dst == ip("192.0.2.1") && u.SrcPort == 68 && u.DstPort == 67
	}))
	ack := dhcpIn(ear.Wait(2*time.Second, "its ACK", both(reply(vm.mac, dhcpv4.MessageTypeAck), func(f testenv.Frame) bool {
		return !dhcpIn(f).ClientIPAddr.IsUnspecified() // RFC 2131 table 3: the request's ciaddr
	})))
	got := []string{ack.TransactionID.String(), ack.ClientIPAddr.String(), ack.YourIPAddr.String()}
	if diff := cmp.Diff([]string{renewal.TransactionID.String(), "192.0.2.11", "192.0.2.11"}, got); diff != "" {
		t.Errorf("xid, ciaddr and yiaddr of the ACK (-want +got):\n%s", diff)
	}
	fence(t, vm, w.at[uplink])
	w.contained()
}
