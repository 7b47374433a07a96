package story_test

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/berth-net/berth/internal/testenv"
)

// everything is a binding that says all a guest can be told.
const everything = `hostname: web1
domain: example.org
search: [example.org, lab.example.net]
broadcast: 192.0.2.255
dns: [192.0.2.53, 9.9.9.9]
ntp: [192.0.2.123, 192.0.2.124]
mtu: 1400
routes: [{to: 10.0.0.0/8, via: 192.0.2.2}]
dhcp4:
  server-id: 192.0.2.254
  lease: 3600s
  t1: 1000s
  t2: 2000s
  options:
    - {code: 43, type: hex, value: "01:04:c0:00:02:05"}
    - {code: 252, type: string, value: "http://wpad.example.org/wpad.dat"}
  boot: {next-server: 192.0.2.5, server-name: boot.example.org, file: pxelinux.0}
`

// everythingBytes is the same by option code, as it is to be on the wire
// (RFC 2132; 119 compressed by RFC 3397; 121 by RFC 3442 with the default
// route, since a client that uses 121 ignores 3).
func everythingBytes() map[uint8]string {
	return map[uint8]string{
		1: "ffffff00", 3: "c0000201", 6: "c000023509090909", 12: hex.EncodeToString([]byte("web1")),
		15: hex.EncodeToString([]byte("example.org")), 26: "0578", 28: "c00002ff", 42: "c000027bc000027c",
		43: "0104c0000205", 51: "00000e10", 53: "05", 54: "c00002fe", 58: "000003e8", 59: "000007d0",
		66: hex.EncodeToString([]byte("boot.example.org")), 67: hex.EncodeToString([]byte("pxelinux.0")),
		119: "076578616d706c65036f726700" + "036c6162" + "076578616d706c65036e657400",
		121: "080ac0000202" + "00c0000201",
		252: hex.EncodeToString([]byte("http://wpad.example.org/wpad.dat")),
	}
}

// TestEveryClientGetsEveryOption looks at both ends: the bytes of the ACK on
// the guest's port, and what each client made of them.
func TestEveryClientGetsEveryOption(t *testing.T) {
	for _, c := range []struct {
		name   string
		client client
		want   lease
	}{
		{"dhclient", dhclient{}, lease{
			"new_ip_address": "192.0.2.11", "new_subnet_mask": "255.255.255.0", "new_broadcast_address": "192.0.2.255",
			"new_routers": "192.0.2.1", "new_domain_name_servers": "192.0.2.53 9.9.9.9", "new_domain_name": "example.org",
			"new_domain_search": "example.org. lab.example.net.", "new_host_name": "web1", "new_interface_mtu": "1400",
			"new_ntp_servers": "192.0.2.123 192.0.2.124", "new_classless_routes": "8 10 192 0 2 2 0 192 0 2 1",
			"new_dhcp_lease_time": "3600", "new_dhcp_renewal_time": "1000", "new_dhcp_rebinding_time": "2000",
			"new_dhcp_server_identifier": "192.0.2.254", "new_wpad": "http://wpad.example.org/wpad.dat",
			"new_tftp_server_name": "boot.example.org", "new_bootfile_name": "pxelinux.0",
			"new_filename": "pxelinux.0", "new_server_name": "boot.example.org", "new_next_server": "192.0.2.5",
		}},
		{"udhcpc", udhcpc{}, lease{
			"ip": "192.0.2.11", "subnet": "255.255.255.0", "mask": "24", "broadcast": "192.0.2.255", "router": "192.0.2.1",
			"dns": "192.0.2.53 9.9.9.9", "domain": "example.org", "search": "example.org lab.example.net", "hostname": "web1",
			"mtu": "1400", "ntpsrv": "192.0.2.123 192.0.2.124", "staticroutes": "10.0.0.0/8 192.0.2.2 0.0.0.0/0 192.0.2.1",
			"lease": "3600", "serverid": "192.0.2.254", "wpad": "http://wpad.example.org/wpad.dat",
			"siaddr": "192.0.2.5", "sname": "boot.example.org", "boot_file": "pxelinux.0",
			"tftp": "boot.example.org", "bootfile": "pxelinux.0", "opt43": "0104c0000205",
		}},
		{"dhcpcd", dhcpcd{}, lease{
			"new_ip_address": "192.0.2.11", "new_subnet_cidr": "24", "new_broadcast_address": "192.0.2.255",
			"new_routers": "192.0.2.1", "new_domain_name_servers": "192.0.2.53 9.9.9.9", "new_domain_name": "example.org",
			"new_domain_search": "example.org lab.example.net", "new_host_name": "web1", "new_interface_mtu": "1400",
			"new_ntp_servers": "192.0.2.123 192.0.2.124", "new_classless_static_routes": "10.0.0.0/8 192.0.2.2 0.0.0.0/0 192.0.2.1",
			"new_dhcp_lease_time": "3600", "new_dhcp_renewal_time": "1000", "new_dhcp_rebinding_time": "2000",
			"new_dhcp_server_identifier": "192.0.2.254", "new_wpad": "http://wpad.example.org/wpad.dat",
			"new_tftp_server_name": "boot.example.org", "new_bootfile_name": "pxelinux.0",
			"new_filename": "pxelinux.0", "new_server_name": "boot.example.org",
		}},
		{"networkd", networkd{}, lease{
			"ADDRESS": "192.0.2.11", "NETMASK": "255.255.255.0", "ROUTER": "192.0.2.1", "SERVER_ADDRESS": "192.0.2.254",
			"NEXT_SERVER": "192.0.2.5", "BROADCAST": "192.0.2.255", "MTU": "1400", "T1": "1000", "T2": "2000", "LIFETIME": "3600",
			"DNS": "192.0.2.53 9.9.9.9", "NTP": "192.0.2.123 192.0.2.124", "DOMAINNAME": "example.org",
			"DOMAIN_SEARCH_LIST": "example.org lab.example.net", "HOSTNAME": "web1",
			"CLASSLESS_ROUTES": "10.0.0.0/8,192.0.2.2 0.0.0.0/0,192.0.2.1", "VENDOR_SPECIFIC": "0104c0000205",
			"OPTION_252": hex.EncodeToString([]byte("http://wpad.example.org/wpad.dat")),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			acknowledged(t, c.client, c.want)
		})
	}
}

func acknowledged(t *testing.T, c client, want lease) {
	s := newSite(t, "")
	vm := s.vms[0]
	s.start()
	s.write("vm1.yaml", vm.bindingWith("192.0.2.11", everything))
	s.attach("vm1")
	w, inside := s.watch(), testenv.Capture(t, vm.NS, "eth0")
	c.start(t, vm)
	got := waitLease(t, c, vm, "192.0.2.11", 20*time.Second)
	picked := lease{}
	for k := range want {
		picked[k] = got[k]
	}
	if diff := cmp.Diff(want, picked); diff != "" {
		t.Errorf("what %T reports (-want +got):\n%s\nall of it: %v", c, diff, got)
	}
	ack := dhcpIn(inside.Wait(time.Second, "the ACK", reply(vm.mac, dhcpv4.MessageTypeAck)))
	checkAck(t, ack)
	w.contained()
}

// checkAck holds an ACK to the whole binding, byte for byte. The echoed
// client identifier (61, RFC 6842) is the client's own.
func checkAck(t *testing.T, ack *dhcpv4.DHCPv4) {
	t.Helper()
	got := map[uint8]string{}
	for code, data := range ack.Options {
		if code != 61 && code != 255 {
			got[code] = hex.EncodeToString(data)
		}
	}
	want := everythingBytes()
	if _, asked := got[249]; asked { // Microsoft's copy of 121, to who asks for it
		want[249] = want[121]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("options of the ACK (-want +got):\n%s", diff)
	}
	fixed := fmt.Sprintf("yiaddr %s siaddr %s sname %s file %s", ack.YourIPAddr, ack.ServerIPAddr, ack.ServerHostName, ack.BootFileName)
	if want := "yiaddr 192.0.2.11 siaddr 192.0.2.5 sname boot.example.org file pxelinux.0"; fixed != want {
		t.Errorf("ACK says %s, want %s", fixed, want)
	}
}
