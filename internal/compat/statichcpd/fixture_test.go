package statichcpd

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/dhcp6"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

const (
	guest    = "52:54:00:aa:00:01"
	database = "/var/lib/statichcpd/Static_DHCP_DB.db"
)

func guestMAC() nic.MAC { return nic.MAC{0x52, 0x54, 0, 0xaa, 0, 1} }

// shipped is the configuration as statichcpd's package has it.
func shipped(t testing.TB) Config {
	t.Helper()
	cfg, errs, _ := ParseConfig([]File{{"statichcpd.conf", []byte(`[statichcpd]
dhcp_db_filename = ` + database + `
served_interface_regex = ^tap
dhcp_ratelimit = 500
use_mac_as_client_duid = true
disable_ia_id = true
`)}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return cfg
}

// attributes are with the list that statichcpd's package adds to IPv4's.
func attributes() Attributes {
	return DefaultAttributes().With([]Attribute{{71, 100, IPV4}, {44, 100, IPV4}}, nil)
}

// row is one value: a row of tap7's guest.
type row struct {
	code  int
	value any
}

// rows makes rows of client_configuration, rowids from 1.
func rows(list ...row) []Row {
	var out []Row
	for i, r := range list {
		out = append(out, Row{Interface: "tap7", Client: guest, Code: r.code, Value: r.value, RowID: int64(i + 1)})
	}
	return out
}

// rows6 makes rows of client_v6configuration.
func rows6(list ...row) []Row {
	out := rows(list...)
	for i := range out {
		out[i].V6 = true
	}
	return out
}

// one builds the one binding of rows without a problem.
func one(t testing.TB, cfg Config, list []Row) *nic.Binding {
	t.Helper()
	r := Build(list, cfg, attributes())
	if len(r.Problems) > 0 || len(r.Bindings) != 1 {
		t.Fatalf("%d bindings, %s", len(r.Bindings), printAll(r.Problems))
	}
	if err := nic.Validate(&r.Bindings[0]); err != nil {
		t.Fatal(err)
	}
	return &r.Bindings[0]
}

func printAll(list []manifest.Problem) string {
	var out []string
	for _, p := range list {
		out = append(out, p.Error())
	}
	return strings.Join(out, "\n")
}

// message4 is a guest's message (RFC 2131 figure 1) that asks for all codes, in
// falling order.
func message4(kind byte, more ...byte) []byte {
	b := make([]byte, 240)
	b[0], b[1], b[2] = 1, 1, 6
	mac := guestMAC()
	copy(b[28:], mac[:])
	copy(b[236:], []byte{0x63, 0x82, 0x53, 0x63})
	b = append(b, 53, 1, kind, 57, 2, 5, 220, 55, 254)
	for code := byte(254); code > 0; code-- {
		b = append(b, code)
	}
	return append(append(b, more...), 255)
}

// ask4 returns yiaddr, the options of the answer in hex, and their order.
func ask4(t testing.TB, b *nic.Binding, host, message []byte) (yiaddr string, options map[int]string, order []int) {
	t.Helper()
	var own []netip.Addr
	if len(host) == 4 {
		own = []netip.Addr{netip.AddrFrom4([4]byte(host))}
	}
	id, why := dhcp4.ServerID(b, own)
	if !id.IsValid() {
		t.Fatalf("no server identifier: %s", why)
	}
	o := dhcp4.Answer(dhcp4.Server{Binding: b, ID: id}, dhcp4.Query{
		EthSrc: guestMAC(), Src: netip.IPv4Unspecified(), Dst: netip.AddrFrom4([4]byte{255, 255, 255, 255}), Message: message,
	})
	if o.Reply == nil {
		t.Fatalf("no answer: %s", o.Reason)
	}
	m := o.Reply.Message
	options = map[int]string{}
	for at := 240; m[at] != 255; at += 2 + int(m[at+1]) {
		options[int(m[at])] += hex.EncodeToString(m[at+2 : at+2+int(m[at+1])])
		order = append(order, int(m[at]))
	}
	return netip.AddrFrom4([4]byte(m[16:20])).String(), options, order
}

const (
	solicit = 1
	ourDUID = "00040102030405060708090a0b0c0d0e0f10"
)

// ask6 sends a message of DHCPv6 with options in hex and returns those of the
// answer.
func ask6(t testing.TB, b *nic.Binding, kind byte, options string) map[int][]string {
	t.Helper()
	duid := unhex(t, ourDUID)
	o := dhcp6.Answer(dhcp6.Server{Binding: b, DUID: duid, Addr: nic.BerthLinkLocal()}, dhcp6.Query{
		EthSrc: guestMAC(), Src: guestMAC().EUI64(), Dst: netip.MustParseAddr("ff02::1:2"),
		Message: append([]byte{kind, 1, 2, 3}, unhex(t, options)...),
	})
	if o.Reply == nil {
		t.Fatalf("no answer: %s", o.Reason)
	}
	out := map[int][]string{}
	for m := o.Reply.Message[4:]; len(m) > 0; {
		n := 4 + int(binary.BigEndian.Uint16(m[2:]))
		code := int(binary.BigEndian.Uint16(m))
		out[code] = append(out[code], hex.EncodeToString(m[4:n]))
		m = m[n:]
	}
	return out
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// opt writes an option of DHCPv6.
func opt(code int, data string) string {
	data = strings.ReplaceAll(data, " ", "")
	return fmt.Sprintf("%04x%04x%s", code, len(data)/2, data)
}

// clientID is a DUID-LL of the guest's MAC.
const clientID = "0001000a 00030001 525400aa0001"

func hexText(s string) string { return hex.EncodeToString([]byte(s)) }
