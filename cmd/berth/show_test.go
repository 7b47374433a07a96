package main

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
)

// What a binding says is shown in words, what it does not say not at all.
func TestShowDeclared(t *testing.T) {
	six := []netip.Prefix{netip.MustParsePrefix("2001:db8:1::1/64")}
	tests := []struct {
		name    string
		nic     api.NIC
		binding string
		want    string
	}{
		{"nothing", api.NIC{}, ``, "mac -|addresses -"},
		{"of a newer berthd", api.NIC{Addresses: six}, `{"gateway6":7}`, "mac -|addresses 2001:db8:1::1/64"},
		{"suspended", api.NIC{}, `{"suspended":true,"dhcp4":{"off":true}}`, "suspended yes: guarded as if it had no addresses, and not answered|mac -|addresses -|dhcp4 off"},
		{"none", api.NIC{}, `{"gateway":"none","gateway6":"none","gateway-mac":"none","neighbours":"off","ipv6":"auto","link-local":"first-come"}`, "mac -|addresses -"},
		{"link-local alone", api.NIC{}, `{"ipv6":"link-local","link-local":["fe80::7","fe80::8"],"dhcp6":{"mode":"both"},"ra":{"mode":"serve"}}`, "mac -|addresses -|ipv6 link-local|link-local fe80::7, fe80::8"},
		{
			"gateways",
			api.NIC{Network: "lan"},
			`{"hostname":"a\u001b","gateway":"192.0.2.1","gateway6":"fe80::1","gateway-mac":"52:54:00:ff:00:01","neighbours":"gateway"}`,
			`mac -|network lan|hostname a\x1b|addresses -|gateway 192.0.2.1|gateway6 fe80::1|gateway-mac 52:54:00:ff:00:01|neighbours gateway`,
		},
		{"stateless", api.NIC{SLAAC: six}, `{"link-local":"eui-64","dhcp6":{"mode":"stateless"},"ra":{"mode":"off"}}`, "mac -|addresses -|slaac 2001:db8:1::1/64|link-local eui-64|dhcp6 stateless: configuration alone|ra off"},
		{"router", api.NIC{Delegated: six}, `{"gateway6":"fe80::1","ra":{"mode":"serve","interval":"4s","lifetime":"12s"}}`, "mac -|addresses -|delegated 2001:db8:1::1/64|gateway6 fe80::1|ra serve: at least every 4s, default router for 12s"},
		{"several routers", api.NIC{Addresses: six}, `{"gateway6":"fe80::1","guard":{"routers":["fe80::2","fe80::3"]}}`, "mac -|addresses 2001:db8:1::1/64|gateway6 fe80::1|routers fe80::2,fe80::3"},
		{"router that is private", api.NIC{Addresses: six}, `{"gateway6":"fe80::1","no-default-route":true,"ra":{"mode":"serve","interval":"4s","lifetime":"12s"}}`, "mac -|addresses 2001:db8:1::1/64|gateway6 fe80::1|ra serve: at least every 4s, no default router"},
		{"no router", api.NIC{Addresses: six}, `{"gateway6":"none","ra":{"mode":"serve","interval":"4s","lifetime":"12s"}}`, "mac -|addresses 2001:db8:1::1/64|ra serve: at least every 4s, no default router"},
		{"router for no time", api.NIC{Addresses: six}, `{"gateway6":"fe80::1","ra":{"mode":"serve","interval":"4s","lifetime":"none"}}`, "mac -|addresses 2001:db8:1::1/64|gateway6 fe80::1|ra serve: at least every 4s, no default router"},
	}
	for _, tt := range tests {
		tt.nic.Binding = json.RawMessage(tt.binding)
		var out strings.Builder
		showDeclared(&out, tt.nic)
		want := "declared -|" + tt.want
		if diff := cmp.Diff(want, rows(out.String())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// rows joins the lines of a table that is not yet aligned.
func rows(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.FieldsFunc(strings.TrimSpace(l), func(r rune) bool { return r == '\t' }), " ")
	}
	return strings.Join(lines, "|")
}

func TestShowLinkLocals(t *testing.T) {
	mac := nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7}
	both := []netip.Addr{mac.EUI64(), netip.MustParseAddr("fe80::1234")}
	tests := []struct {
		name      string
		installed api.Installed
		policy    string
		want      string
	}{
		{"closed", api.Installed{Mode: "closed"}, `"first-come"`, ""},
		{"no IPv6", api.Installed{Mode: "enforce"}, `"first-come"`, "ipv6 the NIC has none"},
		{"chosen", api.Installed{IPv6: true, LinkLocal: both}, `"first-come"`, "link-local fe80::5054:ff:feaa:7| fe80::1234 (the guest's choice)"},
		{"listed", api.Installed{IPv6: true, LinkLocal: both}, `["fe80::1234","fe80::5054:ff:feaa:7"]`, "link-local fe80::5054:ff:feaa:7| fe80::1234"},
	}
	for _, tt := range tests {
		var out strings.Builder
		showLinkLocals(&out, api.NIC{MAC: &mac, Installed: &tt.installed, Binding: json.RawMessage(`{"link-local":` + tt.policy + `}`)})
		if got := strings.ReplaceAll(rows(out.String()), "|fe80", "| fe80"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A list takes as many lines as it needs, and loses nothing.
func TestListRow(t *testing.T) {
	var all []netip.Prefix
	for a := netip.MustParseAddr("2001:db8:1:2:3:4:5:6"); len(all) < 256; a = a.Next() {
		all = append(all, netip.PrefixFrom(a, 64))
	}
	for _, n := range []int{1, 2, 3, 256} {
		var out strings.Builder
		listRow(&out, "  x", all[:n])
		for i, line := range strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n") {
			label, text, _ := strings.Cut(line, "\t")
			if (label == "  x") != (i == 0) || len(text) > listWidth+1 {
				t.Errorf("line %d of %d values: %q", i, n, line)
			}
		}
		text := strings.NewReplacer("\n  \t", " ", "\n", "").Replace(out.String())
		if want := "  x\t" + strings.ReplaceAll(join(all[:n]), ",", ", "); text != want {
			t.Errorf("%d values: %q, want %q", n, text, want)
		}
	}
}

func TestBrief(t *testing.T) {
	for in, want := range map[string]string{
		"":                            "",
		"192.0.2.1/24":                "192.0.2.1/24",
		"2001:db8::1/64":              "2001:db8::1/64",
		"2001:db8::1/64 192.0.2.1/24": "192.0.2.1/24,2001:db8::1/64",
		"192.0.2.1/24 192.0.2.2/24":   "192.0.2.1/24,+1",
		"2001:db8::1/64 2001:db8:a::/64 192.0.2.1/24 2001:db8:100::/56": "192.0.2.1/24,2001:db8::1/64,+2",
	} {
		var all []netip.Prefix
		for f := range strings.FieldsSeq(in) {
			all = append(all, netip.MustParsePrefix(f))
		}
		if got := brief(all); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
