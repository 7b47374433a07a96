// Package compattest is what the tests of the imports share: files become
// bindings as `berth import` makes them, and a client renews.
package compattest

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/compat/carry"
	"github.com/berth-net/berth/internal/dhcp4"
	"github.com/berth-net/berth/internal/nic"
)

// update is a flag of every test that uses Golden.
//
//nolint:gochecknoglobals // flags are registered once
var update = flag.Bool("update", false, "write the golden files")

// Files reads files of testdata.
func Files(t testing.TB, names ...string) []compat.File {
	t.Helper()
	var out []compat.File
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, compat.File{Name: name, Data: data})
	}
	return out
}

// Names puts the MACs 52:54:00:aa:00:01 to :ff behind tap1 to tap255.
func Names() compat.Names {
	names := compat.Names{}
	for i := 1; i < 256; i++ {
		names.Add(nic.MAC{0x52, 0x54, 0, 0xaa, 0, byte(i)}, fmt.Sprintf("tap%d", i))
	}
	return names
}

// Golden holds what a result becomes, documents and notes, to a file of
// testdata.
func Golden(t *testing.T, file string, r compat.Result) []carry.Carried {
	t.Helper()
	carried, notes := carry.Carry(r.Hosts, "", Names())
	carried, more := carry.Distinct(carried)
	notes = append(notes, more...)
	var got strings.Builder
	for _, c := range carried {
		text, err := carry.Lean(&c.Binding, carry.Alone(""))
		if err != nil {
			t.Errorf("%s: %v", c.Place, err)
		}
		fmt.Fprintf(&got, "--- # %s, %s\n%s", c.Name, c.Place, text)
	}
	got.WriteString("--- # not carried\n")
	for _, n := range append(r.Notes, notes...) {
		fmt.Fprintf(&got, "# %s\n", n)
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
	return carried
}

// Renew is what a client in RENEWING (RFC 2131 section 4.4.5) that asks for
// some options gets: its address, and the options by code.
func Renew(t *testing.T, b *nic.Binding, asks ...byte) (netip.Addr, map[byte][]byte) {
	t.Helper()
	mine := b.Delivered().Addr()
	m := make([]byte, 240)
	m[0], m[1], m[2] = 1, 1, 6
	binary.BigEndian.PutUint32(m[4:], 0x12345678)
	copy(m[12:], mine.AsSlice())
	copy(m[28:], b.MAC[:])
	copy(m[236:], []byte{99, 130, 83, 99})
	m = append(m, 53, 1, 3, 55, byte(len(asks)))
	m = append(append(m, asks...), 255)
	q := dhcp4.Query{EthSrc: b.MAC, Src: mine, Dst: netip.MustParseAddr("255.255.255.255"), Message: m}
	id := b.DHCP4.ServerID.Addr
	if !id.IsValid() {
		id = b.Gateway
	}
	out := dhcp4.Answer(dhcp4.Server{Binding: b, ID: id}, q)
	if out.Answer != "ACK" {
		t.Fatalf("%s: renewal of %v: %s %v", b.NIC, mine, out.Answer, out.Reason)
	}
	return netip.AddrFrom4([4]byte(out.Reply.Message[16:])), options(out.Reply.Message[240:])
}

func options(b []byte) map[byte][]byte {
	out := map[byte][]byte{}
	for len(b) > 1 && b[0] != 255 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		n := int(b[1])
		out[b[0]] = append(out[b[0]], b[2:2+n]...)
		b = b[2+n:]
	}
	return out
}

// Told checks options of an ACK, given as code and bytes.
func Told(t *testing.T, got map[byte][]byte, want map[byte][]byte) {
	t.Helper()
	for code, data := range want {
		if !bytes.Equal(got[code], data) {
			t.Errorf("option %d: %x, want %x", code, got[code], data)
		}
	}
}
