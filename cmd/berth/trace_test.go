package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/pcap"
	"github.com/berth-net/berth/internal/words"
)

// seven is a NIC in force, and what its guest would say.
func seven(t *testing.T, w *world) words.NIC {
	t.Helper()
	w.node.DeclareFile("tap7", "52:54:00:aa:00:07", "192.0.2.7/24")
	w.node.AddLink("tap7", 77)
	n, err := w.node.NIC(t.Context(), "tap7")
	if err != nil {
		t.Fatal(err)
	}
	return speaker(n)
}

func said(t *testing.T, who words.NIC, toGuest bool, text string) pcap.Packet {
	t.Helper()
	frame, err := words.Frame(who, toGuest, strings.Fields(text))
	if err != nil {
		t.Fatal(err)
	}
	return pcap.Packet{Time: 1_767_323_045e9 + 5, Length: len(frame), Data: frame}
}

func capture(t *testing.T, packets ...pcap.Packet) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.pcap")
	if err := os.WriteFile(path, pcap.Append(nil, packets...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTraceCapture: a capture's packets are traced in their order, each in its
// direction; one that is cut is told; the answers are written behind the frames.
func TestTraceCapture(t *testing.T) {
	w := newWorld(t)
	who := seven(t, w)
	discover, offer, spoof := said(t, who, false, "dhcp discover"), said(t, who, true, "dhcp offer"), said(t, who, false, "ip 192.0.2.99 to 192.0.2.1")
	short := spoof
	short.Data = short.Data[:40]
	file, written := capture(t, discover, offer, short, spoof), filepath.Join(t.TempDir(), "out.pcap")
	out, msgs, code := w.berth(t.Context(), "trace", "tap7", "--pcap", file, "--write", written)
	var heads []string
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, " ") && line != "\n" {
			head, _, _ := strings.Cut(line, " 52:")
			heads = append(heads, strings.TrimSpace(head))
		}
	}
	want := []string{
		"packet 1, from the guest:", "handed up to berthd: DISCOVER -> OFFER 192.0.2.7", "reply: 02:62:65:72:74:68 to",
		"packet 2, to the guest: 02:00:00:00:00:01 to ff:ff:ff:ff:ff:ff, IPv4 0.0.0.0 to 255.255.255.255 protocol 17 port 67 to 68, DHCPv4 OFFER xid 62657274",
		"dropped: dhcp-foreign: a DHCP or DHCPv6 server other than berth towards the NIC",
		"packet 3, from the guest:", fmt.Sprintf("not-traced: the capture has 40 of the frame's %d bytes", spoof.Length),
		"packet 4, from the guest:", "dropped: ip4-spoof: the IPv4 source is not one of the NIC's addresses", "permitted IPv4 sources: 192.0.2.7",
	}
	if diff := cmp.Diff(want, heads); diff != "" || code != 0 || msgs != "4 frames: 2 dropped, 1 handed-up, 1 not-traced\n" {
		t.Errorf("exit %d, %q (-want +got):\n%s", code, msgs, diff)
	}
	raw, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pcap.Read(raw)
	if err != nil || len(got) != 5 || !bytes.Equal(got[0].Data, discover.Data) || got[1].Time != discover.Time || !got[3].Cut() {
		t.Fatalf("%d packets written, %v", len(got), err)
	}
	if told := words.Tell(got[1].Data).Text; !strings.Contains(told, "DHCPv4 OFFER") {
		t.Errorf("behind the DISCOVER: %s", told)
	}
}

// TestTraceDirection: whoever says the direction knows better than the MACs.
func TestTraceDirection(t *testing.T) {
	w := newWorld(t)
	who := seven(t, w)
	file := capture(t, said(t, who, false, "rs"), said(t, who, true, "rs"))
	for flag, want := range map[string]string{"": "from to", "--from-guest": "from from", "--to-guest": "to to"} {
		out, msgs, code := w.berth(t.Context(), append([]string{"trace", "tap7", "--pcap", file}, strings.Fields(flag)...)...)
		var got []string
		for line := range strings.Lines(out) {
			if f := strings.Fields(line); len(f) > 2 && f[0] == "packet" {
				got = append(got, f[2])
			}
		}
		if code != 0 || strings.Join(got, " ") != want {
			t.Errorf("%q: exit %d, %v, want %s; %s", flag, code, got, want, msgs)
		}
	}
}

// TestTraceManyPackets: more than one request takes, and a file that ends
// within a packet.
func TestTraceManyPackets(t *testing.T) {
	w := newWorld(t)
	who := seven(t, w)
	var packets []pcap.Packet
	for i := range 2500 {
		p := said(t, who, false, "ip 192.0.2.7 to 192.0.2.1")
		p.Data[11] = byte(7 + i%2) // every other one is not the NIC's own
		packets = append(packets, p)
	}
	whole := pcap.Append(nil, packets...)
	w.stdin = string(whole[:len(whole)-1])
	out, msgs, code := w.berth(t.Context(), "trace", "tap7", "--from-guest", "--pcap", "-", "-o", "json")
	var traced []api.Traced
	if err := json.Unmarshal([]byte(out), &traced); err != nil {
		t.Fatal(err)
	}
	if len(traced) != 2499 || code != exitError || msgs != "berth: standard input: the file ends within packet 2500\n" {
		t.Fatalf("%d packets, exit %d, %s", len(traced), code, msgs)
	}
	for i, one := range traced {
		want := map[bool]api.Fate{true: api.Passes, false: api.Dropped}[i%2 == 0]
		if one.Fate != want || !bytes.Equal(one.Frame.Bytes, packets[i].Data) {
			t.Fatalf("packet %d: %s of %x, want %s of %x", i+1, one.Fate, one.Frame.Bytes, want, packets[i].Data)
		}
	}
}

// TestBatch: as many frames as a request may have, by number and by size.
func TestBatch(t *testing.T) {
	for _, c := range []struct{ frames, size, want int }{
		{1, 60, 1}, {1000, 60, 1000}, {1001, 60, 1000}, {1, 2 << 20, 1}, {3, 2 << 20, 1}, {1000, 1500, 508},
	} {
		frames := make([]api.Frame, c.frames)
		for i := range frames {
			frames[i] = api.Frame{Bytes: make([]byte, c.size), ToGuest: true}
		}
		got := batch(frames)
		body, err := json.Marshal(api.TraceRequest{Frames: frames[:got]})
		if err != nil {
			t.Fatal(err)
		}
		if got != c.want || len(body) > api.MaxBody && got > 1 {
			t.Errorf("%d frames of %d bytes: %d in %d bytes, want %d", c.frames, c.size, got, len(body), c.want)
		}
	}
}

func prefixList(texts ...string) (all []netip.Prefix) {
	for _, s := range texts {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func TestSpeaker(t *testing.T) {
	mac := nic.MAC{0x52, 0x54, 0, 0xaa, 0, 7}
	n := api.NIC{
		MAC: &mac, Addresses: prefixList("2001:db8::7/64", "192.0.2.7/24", "192.0.2.8/24", "2001:db8::8/64"), Delegated: prefixList("2001:db8:100::/56"),
		Binding: json.RawMessage(`{"gateway":"192.0.2.1","gateway6":"none","gateway-mac":"52:54:00:ff:00:01","dhcp4":{"address":"192.0.2.8/24"}}`),
	}
	got := speaker(n)
	if got.IP4.String() != "192.0.2.8" || got.IP6.String() != "2001:db8::7" || !got.Prefixes || got.Gateway.String() != "192.0.2.1" ||
		got.Gateway6.IsValid() || got.GatewayMAC != (nic.MAC{0x52, 0x54, 0, 0xff, 0, 1}) || got.LinkLocal.IsValid() {
		t.Errorf("%+v", got)
	}
}
