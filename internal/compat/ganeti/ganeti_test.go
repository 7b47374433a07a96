package ganeti_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/compat/ganeti"
	"github.com/berth-net/berth/internal/compat/nfdhcpd"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

var update = flag.Bool("update", false, "write the golden files")

// base is what Ganeti gives a bridged NIC with both families.
func base() map[string]string {
	return map[string]string{
		"INTERFACE": "tap7", "MODE": "bridged", "LINK": "br100", "MAC": "AA:00:01:12:34:56", "IP": "192.0.2.10",
		"INSTANCE": "vm7.example.org", "TAGS": "owner:x", "NETWORK_NAME": "net1",
		"NETWORK_SUBNET": "192.0.2.0/24", "NETWORK_GATEWAY": "192.0.2.1",
		"NETWORK_SUBNET6": "2001:db8:1::/64", "NETWORK_GATEWAY6": "2001:db8:1::1",
		"NETWORK_MAC_PREFIX": "aa:00:01", "NETWORK_TAGS": "nfdhcpd",
		"INTERFACE_INDEX": "0", "INTERFACE_NAME": "eth-a", "INTERFACE_UUID": "uuid-1",
	}
}

// with changes pairs of variables; "-" takes one away.
func with(pairs ...string) map[string]string {
	env := maps.Clone(base())
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "-" {
			delete(env, pairs[i])
		}
	}
	return env
}

func settings(t *testing.T, text string) ganeti.Settings {
	t.Helper()
	s, problems := ganeti.ParseSettings("snf-network", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return s
}

const nfdhcpdConf = `[general]
pidfile = /p
datapath = /d
logdir = /l
user = nobody
[dhcp]
lease_lifetime = 604800
lease_renewal = 3600
server_ip = 198.51.100.1
dhcp_queue = 42
nameservers = 203.0.113.53,
[ipv6]
mode = slaac+dhcpv6
nameservers = 2001:db8::53,
`

// binding is what becomes of an environment, as berth ganeti ifup makes it.
func binding(t *testing.T, n *ganeti.NIC) *nic.Binding {
	t.Helper()
	r := manifest.Parse("", n.Filter(), manifest.Networks{})
	if !n.IsFilter() {
		config, problems, _ := nfdhcpd.ParseConfig("nfdhcpd.conf", []byte(nfdhcpdConf))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		tap, bridge := nic.MAC{0xcc, 'G', 'R', 'N', 'E', 'T'}, nic.MAC{2, 0, 0, 0, 0, 1}
		r = nfdhcpd.Format{Config: config}.Parse(n.Interface, n.File(), nfdhcpd.Hosts{MACs: map[string]nic.MAC{n.Interface: tap, "br100": bridge}})
	}
	if len(r.Problems) > 0 {
		t.Fatal(ganeti.InVariables(r.Problems))
	}
	b := &r.Bindings[0]
	n.Complete(b, nic.Routing{Table: 100, Uplink: "up0"})
	if bad := nic.Validate(b); bad != nil {
		t.Error(bad)
	}
	return b
}

// text is what is of interest in a binding.
func text(t *testing.T, b *nic.Binding) string {
	t.Helper()
	doc, err := manifest.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(doc, &all); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for path := range strings.FieldsSeq(`nic network mac hostname addresses gateway gateway6 dns routed served-by
		routing.table routing.uplink dhcp4.off dhcp4.server-id dhcp4.lease dhcp4.t1 dhcp6.mode ra.mode ra.autonomous
		guard.mode guard.checks guard.peers`) {
		section, key, deep := strings.Cut(path, ".")
		value := all[section]
		if deep {
			value = value.(map[string]any)[key]
		}
		line, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s: %s\n", path, line)
	}
	return out.String()
}

func TestBindings(t *testing.T) {
	for _, c := range []struct {
		name     string
		env      map[string]string
		settings string
	}{
		{"bridged", base(), ""},
		{"filtered", with("NETWORK_TAGS", "nfdhcpd private-filtered"), "MAC_MASK=ff:ff:ff:00:00:00\nBERTH_NETWORK=name\n"},
		{"filter-only", with("NETWORK_TAGS", "private-filtered"), "BERTH_NETWORK=link\n"},
		{"routed", with("MODE", "routed", "LINK", "snf_public", "NETWORK_TAGS", "nfdhcpd ip-less-routed"), ""},
		{"routed-silent", with("MODE", "routed", "LINK", "100", "NETWORK_TAGS", "ip-less-routed", "NETWORK_SUBNET6", "", "NETWORK_GATEWAY6", ""), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, problems := ganeti.Parse(c.env, settings(t, c.settings))
			if len(problems) > 0 || len(n.Warnings) > 0 || !n.Bound {
				t.Fatal(problems, n.Warnings, n.Bound)
			}
			got := text(t, binding(t, &n))
			golden := "testdata/" + c.name + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestWhatIsAsked: what a NIC is to be, by its tags and its mode.
func TestWhatIsAsked(t *testing.T) {
	for _, c := range []struct {
		name, mode, tags            string
		bound, served, up, isFilter bool
	}{
		{"no tag", "bridged", "", false, false, false, false},
		{"another tag", "bridged", "xnfdhcpd", false, false, false, false},
		{"served", "bridged", "a nfdhcpd b", true, true, false, false},
		{"filtered", "bridged", "private-filtered", true, false, false, true},
		{"both", "bridged", "private-filtered nfdhcpd", true, true, false, false},
		{"routed", "routed", "ip-less-routed", true, false, true, false},
		{"bridged with a routed one's tag", "bridged", "ip-less-routed", false, false, false, false},
		{"routed without a tag", "routed", "", false, false, false, false},
	} {
		n, problems := ganeti.Parse(with("MODE", c.mode, "NETWORK_TAGS", c.tags), settings(t, ""))
		got := []bool{n.Bound, n.Served, n.Uplinked, n.IsFilter()}
		if diff := cmp.Diff([]bool{c.bound, c.served, c.up, c.isFilter}, got); diff != "" || len(problems) > 0 {
			t.Errorf("%s: %v, bound, served, uplinked, filter (-want +got):\n%s", c.name, problems, diff)
		}
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{with("INTERFACE", "-"), "INTERFACE: not the name of an interface"},
		{with("INTERFACE", "a/b"), `INTERFACE "a/b": not the name of an interface`},
		{with("MODE", "openvswitch"), `MODE "openvswitch": neither bridged nor routed`},
		{with("LINK", ""), "LINK: not the name of a bridge"},
		{with("MODE", "routed", "LINK", "", "NETWORK_TAGS", "ip-less-routed"), "LINK: needed: the routing table of the NIC's network"},
		{with("MAC", "xx"), `MAC "xx": not a MAC address`},
	} {
		_, problems := ganeti.Parse(c.env, settings(t, ""))
		if len(problems) != 1 || problems[0].Error() != c.want {
			t.Errorf("got %v, want %s", problems, c.want)
		}
	}
}

// TestMistakesOfTheFile are told by the variables that people know, also where
// a value holds a line of its own.
func TestMistakesOfTheFile(t *testing.T) {
	config, _, _ := nfdhcpd.ParseConfig("nfdhcpd.conf", []byte(nfdhcpdConf))
	n, _ := ganeti.Parse(with("NETWORK_SUBNET", "192.0.2.9/24", "INSTANCE", "vm7\nMACSPOOF=1"), settings(t, ""))
	r := nfdhcpd.Format{Config: config}.Parse("tap7", n.File(), nfdhcpd.Hosts{})
	var told []string
	for _, p := range ganeti.InVariables(r.Problems) {
		told = append(told, p.Error())
	}
	all := strings.Join(told, "\n")
	if !strings.Contains(all, `NETWORK_SUBNET "192.0.2.9/24"`) || strings.Contains(string(n.File()), "\nMACSPOOF") {
		t.Errorf("told: %s\nof\n%s", all, n.File())
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"masquerading", with("NETWORK_TAGS", "masq"), "tag masq: there is no masquerading"},
		{"DNS", with("NETWORK_TAGS", "public"), "the DNS is not updated"},
		{"a routed NIC's tag", with("NETWORK_TAGS", "ip-less-routed"), "tag ip-less-routed: without effect"},
		{"firewall by index", with("TAGS", "synnefo:network:0:protected"), "tag synnefo:network:0:protected: firewall"},
		{"firewall by name", with("TAGS", "x synnefo:network:eth-a:limited"), "synnefo:network:eth-a:limited: firewall"},
		{"firewall by UUID", with("TAGS", "synnefo:network:uuid-1:unprotected"), "synnefo:network:uuid-1:unprotected: firewall"},
		{"another NIC's firewall", with("TAGS", "synnefo:network:1:protected"), ""},
		{"no profile", with("TAGS", "synnefo:network:0:mail synnefo:network:0"), ""},
	} {
		n, problems := ganeti.Parse(c.env, settings(t, ""))
		got := strings.Join(n.Warnings, "\n")
		if len(problems) > 0 || !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %v, warned %q, want %q", c.name, problems, got, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	s := settings(t, `# shipped so
STATE_DIR=/var/lib/snf-network
export NFDHCPD_TAG="dhcp"   # ours
MAC_FILTERED_TAG='filtered'
IFUP_EXTRA_SCRIPT=/etc/x # and so on
TAP_CONSTANT_MAC=02:00:00:00:00:07
MAC_MASK=ff:fe:00:00:00:00
RUNLOCKED_OPTS="--id $0"
if something; then
NFDHCPD_STATE_DIR=/srv/nfdhcpd
`)
	if s.Tags.Served != "dhcp" || s.Tags.Filtered != "filtered" || s.Tags.Uplinked != "ip-less-routed" {
		t.Errorf("tags %+v", s.Tags)
	}
	if s.ExtraPath != "/etc/x" || s.TapMAC != (nic.MAC{2, 5: 7}) || s.NfdhcpdDir != "/srv/nfdhcpd" {
		t.Errorf("got %+v", s)
	}
	n, _ := ganeti.Parse(with("NETWORK_TAGS", "filtered"), s)
	b := binding(t, &n)
	if want := (nic.MACRange{MAC: nic.MAC{0xaa}, Bits: 15}); len(b.Guard.Peers) != 1 || b.Guard.Peers[0] != want {
		t.Errorf("peers %v, want %v", b.Guard.Peers, want)
	}
	for _, bad := range []string{
		"MAC_MASK=ff:00:ff:00:00:00", "MAC_MASK=x", "MAC_MASK=00:00:00:00:00:00", "TAP_CONSTANT_MAC=01:00:00:00:00:00",
		"NFDHCPD_TAG=$TAG", `IFUP_EXTRA_SCRIPT="a`, "BERTH_NETWORK=yes",
	} {
		_, problems := ganeti.ParseSettings("file", []byte("\n"+bad))
		if len(problems) != 1 || problems[0].Line != 2 || problems[0].File != "file" {
			t.Errorf("%s: %v", bad, problems)
		}
	}
}

// TestDocument: docs/ganeti.md names every variable and key.
func TestDocument(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/ganeti.md")
	if err != nil {
		t.Fatal(err)
	}
	read, ignored := ganeti.Keys()
	for _, name := range append(append(ganeti.Variables(), read...), ignored...) {
		if !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/ganeti.md does not name %s", name)
		}
	}
}
