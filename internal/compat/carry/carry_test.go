package carry

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

func parsed(t *testing.T, text string) nic.Binding {
	t.Helper()
	r := manifest.Parse("f", []byte(text), manifest.Networks{})
	if len(r.Problems) > 0 {
		t.Fatal(r.Problems)
	}
	return r.Bindings[0]
}

// TestLean: what differs is written and nothing else, and it means the same.
func TestLean(t *testing.T) {
	for _, text := range []string{
		"nic: tap7\nmac: 52:54:00:aa:00:07\n",
		"nic: tap7\nmac: 52:54:00:aa:00:07\naddresses: [192.0.2.10/24]\ngateway: 192.0.2.1\nmtu: 1400\n",
		"nic: tap7\nmac: 52:54:00:aa:00:07\nhostname: \"007\"\ndhcp4:\n  lease: 1h\n  boot:\n    file: a b\n",
		"nic: tap7\nmac: 52:54:00:aa:00:07\ntags:\n  \"no\": \"yes: 1\"\ndhcp4:\n  options:\n    - code: 224\n      type: hex\n      value: \"0001\"\n    - code: 225\n      type: string\n      value: \"a\\\"b\"\n",
	} {
		text = strings.ReplaceAll(text, "file: a b", `file: "a b"`)
		b := parsed(t, text)
		got, err := Lean(&b, manifest.Networks{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, string(got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestLeanInANetwork: what the network gives is left out, and what it gives
// beyond the binding is taken back.
func TestLeanInANetwork(t *testing.T) {
	nets, problems := manifest.ParseNetworks("n", []byte("network: default\ndns: [192.0.2.53]\nmtu: 1400\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b := parsed(t, "nic: tap7\nmac: 52:54:00:aa:00:07\naddresses: [192.0.2.10/24]\ndns: [192.0.2.53]\n")
	got, err := Lean(&b, nets)
	if err != nil {
		t.Fatal(err)
	}
	const want = "nic: tap7\nmac: 52:54:00:aa:00:07\naddresses: [192.0.2.10/24]\nmtu: 0\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func host(line int, mac byte, addresses ...string) compat.Host {
	h := compat.Host{Place: compat.Place{File: "f", Line: line}, Name: fmt.Sprintf("host %d", line)}
	h.MAC = nic.MAC{0x52, 0x54, 0, 0, 0, mac}
	for _, a := range addresses {
		h.Addresses = append(h.Addresses, netip.MustParsePrefix(a))
	}
	return h
}

func TestCarry(t *testing.T) {
	names := compat.Names{}
	for m, dev := range map[byte]string{1: "tap1", 2: "tap2", 3: "tap3", 5: "tap5"} {
		names.Add(nic.MAC{0x52, 0x54, 0, 0, 0, m}, dev)
	}
	names.Add(nic.MAC{0x52, 0x54, 0, 0, 0, 5}, "tap6")
	outside := host(6, 2, "192.0.2.12/24")
	outside.Gateway = netip.MustParseAddr("203.0.113.1")
	carried, notes := Carry([]compat.Host{
		host(1, 1, "192.0.2.10/24"), host(2, 1, "2001:db8::10/64"), host(3, 1, "198.51.100.10/24"),
		host(4, 4, "192.0.2.11/24"), host(5, 5, "192.0.2.13/24"), outside, host(7, 3, "192.0.2.10/24"),
	}, "red", names)
	carried, more := Distinct(carried)
	if len(carried) != 1 || carried[0].Binding.NIC != "tap1" || len(carried[0].Binding.Addresses) != 2 || carried[0].Binding.Network != "red" {
		t.Errorf("%+v", carried)
	}
	var got []string
	for _, n := range append(notes, more...) {
		got = append(got, n.String())
	}
	want := []string{
		"f:3: host 3 is not carried: MAC 52:54:00:00:00:01 is host 1's, f:1",
		"f:4: host 4 is not carried: no interface is known for MAC 52:54:00:00:00:04",
		"f:5: host 5 is not carried: MAC 52:54:00:00:00:05 is behind more than one interface: tap5, tap6",
		`f:6: host 6 is not carried: gateway "203.0.113.1": not on link: in none of the NIC's subnets; if it is, add a route to 203.0.113.1/32 without via`,
		"f:7: host 7 is not carried: NIC tap3 (f:7): address 192.0.2.10 in network red is held by NIC tap1 (f:1)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
