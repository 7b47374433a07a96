package dhcp6

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// scenario is one query and its binding.
type scenario struct {
	name    string
	binding *nic.Binding
	query   Query
}

// golden compares everything that comes of the scenarios, every byte of every
// reply, with testdata/<name>.golden, and holds each outcome to what is true of
// all.
func golden(t *testing.T, list []scenario) {
	t.Helper()
	var got strings.Builder
	for _, s := range list {
		o := Answer(server(s.binding), s.query)
		fmt.Fprintf(&got, "== %s\n%s\n", s.name, story(t, s.query, o))
		checkOutcome(t, server(s.binding), s.query, o)
	}
	path := filepath.Join("testdata", t.Name()+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

// story tells a query and its outcome.
func story(t *testing.T, q Query, o Outcome) string {
	t.Helper()
	s := "< " + first(strings.TrimSuffix(dump(t, q.Message), "\n")) +
		fmt.Sprintf("> %s to %s, reason %s", or(o.Answer, "silence"), or(o.Request, "?"), o.Reason)
	if len(o.Addresses) > 0 {
		s += fmt.Sprintf(", about %v", o.Addresses)
	}
	if o.Reply == nil {
		return s + "\n"
	}
	r := o.Reply
	return s + fmt.Sprintf("\n  from %s to %s [%s] port %d\n", r.Src, r.Dst, r.DstMAC, r.DstPort) + dump(t, r.Message)
}

// first indents all lines but the first, which has its mark.
func first(s string) string { return strings.TrimPrefix(s, "  ") + "\n" }

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// dumper prints a message line by line: what it says, then the bytes that say
// it.
type dumper struct {
	out  strings.Builder
	done []byte // every byte printed
}

// dump fails unless it has printed every byte once and in order.
func dump(t *testing.T, b []byte) string {
	t.Helper()
	d := &dumper{}
	d.message(b, 1)
	if !slices.Equal(d.done, b) {
		t.Fatalf("dumped %x\nof %x", d.done, b)
	}
	return d.out.String()
}

func (d *dumper) line(depth int, what string, raw ...[]byte) {
	fmt.Fprintf(&d.out, "%s%-*s", strings.Repeat("  ", depth), 64-2*depth, what)
	for _, r := range raw {
		if len(r) > 0 {
			d.out.WriteString(" " + hex.EncodeToString(r))
		}
		d.done = append(d.done, r...)
	}
	d.out.WriteString("\n")
}

func (d *dumper) message(b []byte, depth int) {
	names := []string{
		"", "SOLICIT", "ADVERTISE", "REQUEST", "CONFIRM", "RENEW", "REBIND", "REPLY", "RELEASE",
		"DECLINE", "RECONFIGURE", "INFORMATION-REQUEST", "RELAY-FORW", "RELAY-REPL",
	}
	switch {
	case len(b) < 4 || int(b[0]) >= len(names):
		d.line(depth, "raw", b)
	case b[0] < 12:
		d.line(depth, fmt.Sprintf("%s %x", names[b[0]], b[1:4]), b[:1], b[1:4])
		d.options(b[4:], depth+1)
	case len(b) >= 34:
		d.line(depth, fmt.Sprintf("%s hops %d link %s peer %s", names[b[0]], b[1], addr(b[2:18]), addr(b[18:34])), b[:34])
		d.options(b[34:], depth+1)
	default:
		d.line(depth, "raw", b)
	}
}

func (d *dumper) options(b []byte, depth int) {
	for len(b) > 0 {
		if len(b) < 4 || len(b) < 4+int(binary.BigEndian.Uint16(b[2:])) {
			d.line(depth, "overrun", b)
			return
		}
		n := 4 + int(binary.BigEndian.Uint16(b[2:]))
		d.option(b[:4], b[4:n], depth)
		b = b[n:]
	}
}

func (d *dumper) option(head, v []byte, depth int) {
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(v[at:]) }
	switch code := binary.BigEndian.Uint16(head); {
	case code == 3 && len(v) >= 12, code == 25 && len(v) >= 12:
		name := map[uint16]string{3: "IA_NA", 25: "IA_PD"}[code]
		d.line(depth, fmt.Sprintf("%s iaid %d t1 %d t2 %d", name, u32(0), u32(4), u32(8)), head, v[:12])
		d.options(v[12:], depth+1)
	case code == 4 && len(v) >= 4:
		d.line(depth, fmt.Sprintf("IA_TA iaid %d", u32(0)), head, v[:4])
		d.options(v[4:], depth+1)
	case code == 5 && len(v) >= 24:
		d.line(depth, fmt.Sprintf("IAADDR %s preferred %d valid %d", addr(v), u32(16), u32(20)), head, v[:24])
		d.options(v[24:], depth+1)
	case code == 26 && len(v) >= 25:
		d.line(depth, fmt.Sprintf("IAPREFIX %s/%d preferred %d valid %d", addr(v[9:]), v[8], u32(0), u32(4)), head, v[:25])
		d.options(v[25:], depth+1)
	case code == 9:
		d.line(depth, "relay message", head)
		d.message(v, depth+1)
	default:
		d.line(depth, plain(code, v), head, v)
	}
}

// plain tells an option without options inside.
func plain(code uint16, v []byte) string {
	switch code {
	case 1:
		return "client id"
	case 2:
		return "server id"
	case 6:
		return fmt.Sprintf("ORO %v", numbers(v))
	case 7:
		return fmt.Sprintf("preference %d", v)
	case 8:
		return "elapsed time"
	case 12:
		return "server unicast " + addr(v)
	case 13:
		return fmt.Sprintf("status %v", numbers(v))
	case 14:
		return "rapid commit"
	case 18:
		return fmt.Sprintf("interface id %q", v)
	case 20:
		return "reconfigure accept"
	case 23:
		return "DNS" + addrs(v)
	case 24:
		return fmt.Sprintf("search list %q", v)
	case 31:
		return "SNTP" + addrs(v)
	case 32, 82, 83:
		name := map[uint16]string{32: "refresh time", 82: "SOL_MAX_RT", 83: "INF_MAX_RT"}[code]
		return fmt.Sprintf("%s %v", name, numbers(v))
	case 39:
		return fmt.Sprintf("FQDN %q", v)
	case 56:
		return "NTP"
	case 59, 103:
		return fmt.Sprintf("option %d %q", code, v)
	}
	return fmt.Sprintf("option %d", code)
}

func addr(b []byte) string {
	if len(b) < 16 {
		return "?"
	}
	return netip.AddrFrom16([16]byte(b[:16])).String()
}

func addrs(b []byte) string {
	var s strings.Builder
	for ; len(b) >= 16; b = b[16:] {
		s.WriteString(" " + addr(b))
	}
	return s.String()
}

func numbers(b []byte) []uint16 {
	var list []uint16
	for ; len(b) >= 2; b = b[2:] {
		list = append(list, binary.BigEndian.Uint16(b))
	}
	return list
}
