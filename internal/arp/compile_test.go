package arp

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
)

// look is what whoever has c alone says of a valid request, and whether that is
// all that there is to say.
func look(c Compiled, b *nic.Binding, q Request) (mac nic.MAC, known bool) {
	is := func(n Neighbour) bool { return n.IP == q.TargetIP }
	if i := slices.IndexFunc(c.Always, is); i >= 0 {
		return c.Always[i].MAC, true
	}
	mac = c.Others
	if i := slices.IndexFunc(c.Former, is); i >= 0 {
		mac = c.Former[i].MAC
		if !q.SenderIP.IsUnspecified() && !isOwn(b, q.SenderIP) {
			return mac, true
		}
	}
	allowed := slices.ContainsFunc(b.Guard.AllowAddresses, func(p netip.Prefix) bool { return p.Contains(q.TargetIP) })
	if isOwn(b, q.TargetIP) || allowed || q.TargetIP.IsLoopback() || q.TargetIP.IsMulticast() || q.TargetIP == limitedBroadcast() {
		return nic.MAC{}, false
	}
	if !c.All || q.SenderIP.IsUnspecified() || q.SenderIP == q.TargetIP || q.TargetIP.IsUnspecified() || slices.Contains(c.Not, q.TargetIP) {
		return nic.MAC{}, true
	}
	return mac, true
}

// Compile knows of every request what Answer says.
func TestCompile(t *testing.T) {
	former := func(r *Responder) {
		r.Former = []netip.Addr{ip("192.0.2.3"), ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.10")}
	}
	unknown := func(r *Responder) { r.GatewayMAC = nic.MAC{} }
	for name, r := range map[string]Responder{
		"bridged":                 responder(former),
		"off":                     responder(level(nic.NeighboursOff), former),
		"a made-up server":        responder(level(nic.NeighboursOff), serverID("169.254.0.1")),
		"its own is the server":   responder(serverID("192.0.2.10")),
		"MAC not known":           responder(former, unknown),
		"routed":                  responder(routed, former),
		"routed, MAC not known":   responder(routed, former, unknown),
		"routed, at the very top": responder(routed, func(r *Responder) { r.Binding.Addresses = prefixes("255.255.255.1/24", "10.0.0.1/8") }),
	} {
		c, ok := Compile(r)
		if !ok && name != "its own is the server" && r.Binding.Neighbours != nic.NeighboursOff {
			t.Errorf("%s: nothing is compiled", name)
		}
		for _, target := range []string{
			"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.10", "192.0.2.11", "192.0.2.127", "192.0.2.255", "198.51.100.2", "198.51.100.3",
			"203.0.113.9", "8.8.8.8", "169.254.0.1", "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.255.255.255",
		} {
			for _, sender := range []string{"192.0.2.10", "192.0.2.99", "0.0.0.0", target} {
				q := request(target)
				q.SenderIP = ip(sender)
				mac, known := look(c, r.Binding, q)
				want := unanswered(q)
				if !mac.IsZero() {
					want = answered(q, mac)
				}
				if d := cmp.Diff(want, Answer(r, q), sameAddr()); known && d != "" {
					t.Errorf("%s: %s asks for %s (-compiled +answer):\n%s", name, sender, target, d)
				}
			}
		}
	}
}

func TestCompileNothing(t *testing.T) {
	for name, r := range map[string]Responder{
		"no binding": {},
		"suspended":  responder(func(r *Responder) { r.Binding.Suspended = true }),
		"off":        responder(level(nic.NeighboursOff)),
	} {
		if c, ok := Compile(r); ok {
			t.Errorf("%s: %+v", name, c)
		}
	}
}
