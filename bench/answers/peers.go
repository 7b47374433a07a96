package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// peer is one way to answer DHCP.
type peer struct {
	name string
	// command starts it for clients of one family, with its files below dir;
	// nil for what needs no process.
	command  func(s *site) []string
	files    func(s *site) map[string]string
	families []int
	// many: the server drops or defers what is under way with one client
	// already, so that every outstanding exchange is another client's.
	many bool
	// slow: a load of many needs seconds to get round once.
	slow  bool
	berth bool
	echo  bool
}

// site is what a server is configured for.
type site struct {
	dir     string
	bin     string // of berth and of the peers built here
	family  int
	clients []client
	extra   string // a further line of berthd.yaml
}

// daemonPeer is berth with its kernel answers switched off.
const daemonPeer = "berth by its daemon"

func peers() []peer {
	both, four := []int{4, 6}, []int{4}
	return []peer{
		{name: "reflector", families: both, echo: true},
		{name: "berth", families: both, command: berthd, files: berthFiles, berth: true},
		{name: daemonPeer, families: both, command: berthd, files: berthFiles, berth: true},
		{name: "dnsmasq", families: both, command: dnsmasq, files: dnsmasqFiles},
		{name: "ISC dhcpd", families: both, command: dhcpd, files: dhcpdFiles},
		{name: "Kea", families: both, command: kea, files: keaFiles, many: true},
		{name: "udhcpd", families: four, command: udhcpd, files: udhcpdFiles, slow: true},
		{name: "server4", families: four, command: server4, files: noFiles},
	}
}

func peerNamed(name string) (peer, error) {
	all := peers()
	i := slices.IndexFunc(all, func(p peer) bool { return p.name == name })
	if i < 0 {
		return peer{}, fmt.Errorf("no peer %q", name)
	}
	return all[i], nil
}

// write lays out a peer's files.
func (s *site) write(files map[string]string) error {
	for name, text := range files {
		file := filepath.Join(s.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// each joins a text for every client.
func (s *site) each(f func(c client) string) string {
	var b strings.Builder
	for _, c := range s.clients {
		b.WriteString(f(c))
	}
	return b.String()
}

func hex(b []byte) string {
	parts := make([]string, len(b))
	for i, v := range b {
		parts[i] = fmt.Sprintf("%02x", v)
	}
	return strings.Join(parts, ":")
}

func berthd(s *site) []string {
	return []string{filepath.Join(s.bin, "berthd"), "-config", s.file("berthd.yaml")}
}

func berthFiles(s *site) map[string]string {
	return map[string]string{
		"berthd.yaml": fmt.Sprintf("nics: %[1]s/nics\nnetworks: %[1]s/networks.yaml\nstate: %[1]s/state\nhooks: %[1]s/hooks\n"+
			"socket: {path: %[1]s/s.sock}\nlog: {level: warn}\n%s", s.dir, s.extra),
		"nics/" + port + ".yaml": binding(port, s.clients[0]),
	}
}

// binding gives a client its addresses, and its questions no limit that the
// measurement could meet.
func binding(nic string, c client) string {
	return fmt.Sprintf("nic: %s\nmac: %s\naddresses: [%s/24, \"%s/64\"]\ngateway: %s\ndns: [192.0.2.53, 192.0.2.54]\ndomain: example.org\n"+
		"guard: {rate: {per-second: 1000000, burst: 1000000}}\n", nic, hex(c.mac[:]), c.addr4, c.addr6, serverAddr4())
}

func dnsmasq(s *site) []string {
	return []string{"dnsmasq", "--keep-in-foreground", "--pid-file=", "--conf-file=" + s.file("dnsmasq.conf"), "--leasefile-ro"}
}

func dnsmasqFiles(s *site) map[string]string {
	text := "port=0\nuser=root\ninterface=" + port + "\nbind-interfaces\nlog-facility=-\nquiet-dhcp\nquiet-dhcp6\nno-ping\n" +
		"dhcp-authoritative\ndomain=example.org\n"
	if s.family == 4 {
		text += "dhcp-range=192.0.2.0,static,255.255.255.0,24h\ndhcp-option=3,192.0.2.1\ndhcp-option=6,192.0.2.53,192.0.2.54\n" +
			s.each(func(c client) string { return fmt.Sprintf("dhcp-host=%s,%s\n", hex(c.mac[:]), c.addr4) })
	} else {
		text += "dhcp-range=2001:db8:1::,static,64,24h\ndhcp-option=option6:dns-server,[2001:db8::53]\n" +
			s.each(func(c client) string { return fmt.Sprintf("dhcp-host=id:%s,[%s]\n", hex(c.duid()), c.addr6) })
	}
	return map[string]string{"dnsmasq.conf": text}
}

func dhcpd(s *site) []string {
	return []string{
		"dhcpd", fmt.Sprintf("-%d", s.family), "-f", "-q", "-cf", s.file("dhcpd.conf"), "-lf", s.file("dhcpd.leases"),
		"-pf", s.file("dhcpd.pid"), port,
	}
}

func dhcpdFiles(s *site) map[string]string {
	text := "authoritative;\nddns-update-style none;\ndefault-lease-time 86400;\nmax-lease-time 86400;\n"
	if s.family == 4 {
		text += "option domain-name \"example.org\";\nsubnet 192.0.2.0 netmask 255.255.255.0 {\n  option routers 192.0.2.1;\n" +
			"  option domain-name-servers 192.0.2.53, 192.0.2.54;\n}\n" +
			s.each(func(c client) string {
				return fmt.Sprintf("host h%d { hardware ethernet %s; fixed-address %s; }\n", c.mac[5], hex(c.mac[:]), c.addr4)
			})
	} else {
		text += "option dhcp6.name-servers 2001:db8::53;\noption dhcp6.domain-search \"example.org\";\nsubnet6 2001:db8:1::/64 { }\n" +
			s.each(func(c client) string {
				return fmt.Sprintf("host h%d { host-identifier option dhcp6.client-id %s; fixed-address6 %s; }\n", c.mac[5], hex(c.duid()), c.addr6)
			})
	}
	return map[string]string{"dhcpd.conf": text, "dhcpd.leases": ""}
}

func kea(s *site) []string {
	return []string{
		"env", "KEA_PIDFILE_DIR=" + s.dir, "KEA_LOCKFILE_DIR=none", fmt.Sprintf("kea-dhcp%d", s.family), "-c", s.file("kea.conf"),
	}
}

func keaFiles(s *site) map[string]string {
	hosts := strings.TrimSuffix(s.each(func(c client) string {
		if s.family == 4 {
			return fmt.Sprintf("{\"hw-address\": %q, \"ip-address\": %q},\n", hex(c.mac[:]), c.addr4)
		}
		return fmt.Sprintf("{\"duid\": %q, \"ip-addresses\": [%q]},\n", hex(c.duid()), c.addr6)
	}), ",\n")
	common := `"lease-database": {"type": "memfile", "persist": false},
  "loggers": [{"name": "kea-dhcp%[1]d", "severity": "ERROR", "output_options": [{"output": "stderr"}]}],
  "valid-lifetime": 86400, "host-reservation-identifiers": ["%[2]s"],`
	four := `{"Dhcp4": {"authoritative": true, "interfaces-config": {"interfaces": ["tap0"], "dhcp-socket-type": "raw"}, ` + common + `
  "option-data": [{"name": "routers", "data": "192.0.2.1"}, {"name": "domain-name", "data": "example.org"},
                  {"name": "domain-name-servers", "data": "192.0.2.53, 192.0.2.54"}],
  "subnet4": [{"id": 1, "subnet": "192.0.2.0/24", "reservations": [%[3]s]}]}}`
	six := `{"Dhcp6": {"interfaces-config": {"interfaces": ["tap0"]}, "server-id": {"type": "LL", "persist": false}, "preferred-lifetime": 86400, ` + common + `
  "option-data": [{"name": "dns-servers", "data": "2001:db8::53"}, {"name": "domain-search", "data": "example.org"}],
  "subnet6": [{"id": 1, "subnet": "2001:db8:1::/64", "interface": "tap0", "reservations": [%[3]s]}]}}`
	if s.family == 4 {
		return map[string]string{"kea.conf": fmt.Sprintf(four, 4, "hw-address", hosts)}
	}
	return map[string]string{"kea.conf": fmt.Sprintf(six, 6, "duid", hosts)}
}

func udhcpd(s *site) []string { return []string{"busybox", "udhcpd", "-f", s.file("udhcpd.conf")} }

func udhcpdFiles(s *site) map[string]string {
	text := fmt.Sprintf("start 192.0.2.200\nend 192.0.2.210\ninterface %s\nlease_file %s\npidfile %s\n", port, s.file("leases"), s.file("pid")) +
		"opt subnet 255.255.255.0\nopt router 192.0.2.1\nopt dns 192.0.2.53 192.0.2.54\nopt domain example.org\nopt lease 86400\n" +
		s.each(func(c client) string { return fmt.Sprintf("static_lease %s %s\n", hex(c.mac[:]), c.addr4) })
	return map[string]string{"udhcpd.conf": text, "leases": ""}
}

func noFiles(*site) map[string]string { return nil }

// server4 is peers/plain, built beside berth.
func server4(s *site) []string {
	args := []string{filepath.Join(s.bin, "plain"), port, serverAddr4().String()}
	for _, c := range s.clients {
		args = append(args, fmt.Sprintf("%s=%s", hex(c.mac[:]), c.addr4))
	}
	return args
}
