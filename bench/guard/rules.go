package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
)

// rules is a filter written for nft or ebtables-restore.
type rules struct {
	command []string            // reads the text from its standard input; none: no filter
	text    func([]port) string // for all NICs, in order of declaration
}

func (r rules) arm(s *site) error {
	if r.command == nil {
		return nil
	}
	return s.host.do(func() error {
		cmd := exec.Command(r.command[0], r.command[1:]...)
		cmd.Stdin = strings.NewReader(r.text(s.ports))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", r.command[0], err, bytes.TrimSpace(out))
		}
		return nil
	})
}

func (rules) run(bool) error { return nil }
func (rules) close() error   { return nil }

func nft() []string { return []string{"nft", "-f", "-"} }

func ebtables() []string { return []string{"ebtables-nft-restore"} }

// lines fills a text in for every NIC: {nic}, {mac}, {hex} (the MAC), {ip}.
func lines(ports []port, text string) string {
	var b strings.Builder
	for _, p := range ports {
		fill := strings.NewReplacer(
			"{nic}", p.name, "{mac}", p.mac.String(), "{ip}", p.address.String(),
			"{hex}", fmt.Sprintf("0x%x", p.mac[:]))
		b.WriteString(fill.Replace(text))
	}
	return b.String()
}

// linear is anti-spoofing in the bridge family as written by hand: some rules
// a NIC, one NIC after the other. Only what comes from the guest is filtered.
func linear(ports []port) string {
	return "table bridge guard {\nchain from {\ntype filter hook prerouting priority filter; policy accept;\n" +
		lines(ports, `iifname "{nic}" ether saddr != {mac} drop
iifname "{nic}" ether type arp arp saddr ether != {mac} drop
iifname "{nic}" ether type arp arp saddr ip != { 0.0.0.0, {ip} } drop
iifname "{nic}" ether type arp accept
iifname "{nic}" ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
iifname "{nic}" ether type ip ip saddr != {ip} drop
iifname "{nic}" ether type ip udp sport 67 drop
iifname "{nic}" ether type ip accept
iifname "{nic}" drop
`) + "}\n}\n"
}

// maps is the same with sets: what it costs does not grow with the NICs.
func maps(ports []port) string {
	return "table bridge guard {\n" +
		"map nics { type ifname : verdict; elements = {\n" + lines(ports, "\"{nic}\" : jump managed,\n") + "} }\n" +
		"set macs { type ifname . ether_addr; elements = {\n" + lines(ports, "\"{nic}\" . {mac},\n") + "} }\n" +
		"map senders { type ifname . ether_addr . ipv4_addr : verdict; elements = {\n" + lines(ports, "\"{nic}\" . {mac} . {ip} : accept,\n") + `} }
chain managed {
	udp sport 67 drop
	ether type ip iifname . ether saddr . ip saddr vmap @senders
	ether type ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 iifname . ether saddr @macs accept
	iifname . ether saddr != @macs drop
	ether type arp arp saddr ip 0.0.0.0 iifname . arp saddr ether @macs accept
	ether type arp iifname . arp saddr ether . arp saddr ip vmap @senders
	drop
}
chain from {
	type filter hook prerouting priority filter; policy accept;
	iifname vmap @nics
}
}
`
}

// clean is what libvirt's filter clean-traffic becomes (no-mac-spoofing,
// no-ip-spoofing, no-arp-spoofing, qemu-announce-self) with the variables MAC
// and IP of each NIC: src/nwfilter/xml and nwfilter_ebiptables_driver.c.
func clean(ports []port) string {
	return "*nat\n:PREROUTING ACCEPT\n:OUTPUT ACCEPT\n:POSTROUTING ACCEPT\n" +
		lines(ports, `:libvirt-I-{nic} ACCEPT
:libvirt-O-{nic} ACCEPT
:I-{nic}-mac ACCEPT
:I-{nic}-ipv4-ip ACCEPT
:O-{nic}-ipv4 ACCEPT
:I-{nic}-arp-mac ACCEPT
:I-{nic}-arp-ip ACCEPT
:I-{nic}-rarp ACCEPT
:O-{nic}-rarp ACCEPT
`) +
		lines(ports, `-A PREROUTING -i {nic} -j libvirt-I-{nic}
-A POSTROUTING -o {nic} -j libvirt-O-{nic}
-A libvirt-I-{nic} -j I-{nic}-mac
-A libvirt-I-{nic} -p IPv4 -j I-{nic}-ipv4-ip
-A libvirt-I-{nic} -p IPv4 -j ACCEPT
-A libvirt-I-{nic} -p ARP -j I-{nic}-arp-mac
-A libvirt-I-{nic} -p ARP -j I-{nic}-arp-ip
-A libvirt-I-{nic} -p ARP -j ACCEPT
-A libvirt-I-{nic} -p 0x8035 -j I-{nic}-rarp
-A libvirt-I-{nic} -p 0x835 -j ACCEPT
-A libvirt-I-{nic} -j DROP
-A libvirt-O-{nic} -p IPv4 -j O-{nic}-ipv4
-A libvirt-O-{nic} -p ARP -j ACCEPT
-A libvirt-O-{nic} -p 0x8035 -j O-{nic}-rarp
-A libvirt-O-{nic} -j DROP
-A I-{nic}-mac -s {mac} -j RETURN
-A I-{nic}-mac -j DROP
-A I-{nic}-ipv4-ip -p IPv4 --ip-src 0.0.0.0 --ip-proto udp -j RETURN
-A I-{nic}-ipv4-ip -p IPv4 --ip-src {ip} -j RETURN
-A I-{nic}-ipv4-ip -j DROP
-A O-{nic}-ipv4 -j ACCEPT
-A I-{nic}-arp-mac -p ARP --arp-mac-src {mac} -j RETURN
-A I-{nic}-arp-mac -j DROP
-A I-{nic}-arp-ip -p ARP --arp-ip-src {ip} -j RETURN
-A I-{nic}-arp-ip -j DROP
-A I-{nic}-rarp -p 0x8035 -s {mac} -d Broadcast --arp-op Request_Reverse --arp-ip-src 0.0.0.0 --arp-ip-dst 0.0.0.0 --arp-mac-src {mac} --arp-mac-dst {mac} -j ACCEPT
-A I-{nic}-rarp -j DROP
-A O-{nic}-rarp -p 0x8035 -d Broadcast --arp-op Request_Reverse --arp-ip-src 0.0.0.0 --arp-ip-dst 0.0.0.0 --arp-mac-src {mac} --arp-mac-dst {mac} -j ACCEPT
-A O-{nic}-rarp -j DROP
`)
}

// incus is what Incus writes for security.mac_filtering and
// security.ipv4_filtering: a chain a NIC at each of two hooks
// (internal/server/firewall/drivers/drivers_nftables_templates.go).
func incus(ports []port) string {
	const mac = `iifname "{nic}" ether saddr != {mac} drop
iifname "{nic}" ether type arp arp saddr ether != {mac} drop
iifname "{nic}" ether type ip6 icmpv6 type 136 @nh,528,48 != {hex} drop
`
	const rest = `iifname "{nic}" ether type arp arp saddr ip != { {ip}/32 } drop
iifname "{nic}" ether type ip ip saddr != { {ip}/32 } drop
iifname "{nic}" ether type != {arp, ip, ip6} drop
`
	return "table bridge incus {\n" + lines(ports, "chain in.vm.{nic} {\ntype filter hook input priority -200; policy accept;\n"+mac+
		"iifname \"{nic}\" ether type ip ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 accept\n"+rest+
		"}\nchain fwd.vm.{nic} {\ntype filter hook forward priority -200; policy accept;\n"+mac+rest+"}\n") + "}\n"
}
