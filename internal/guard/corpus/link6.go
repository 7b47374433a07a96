package corpus

import (
	"fmt"

	"github.com/berth-net/berth/internal/reason"
)

// encapsulated6 is the product of the tag stacks and LLC with a router
// advertisement, which is nobody's whatever is around it, and an advertisement
// of the victim's address (CVE-2021-27853, 27854, 27861, 27862).
func encapsulated6() []Vector {
	ra := nd(LL, allNodes, router(1800, M))
	poison := nd(M6, allNodes, advert(flagOverride, B6, lla(2, M)))
	var vs []Vector
	for n, s := range stacks() {
		contained := reason.RARogue
		if len(s.tags) > 4 {
			contained = reason.VLANTag // nobody looks that deep
		}
		vs = append(vs,
			Vector{ID: fmt.Sprintf("H1%02d", n), Case: s.what + " carrying a router advertisement", Frames: one(enc(ra, s.tags...)), Want: drop(contained)},
			Vector{ID: fmt.Sprintf("H2%02d", n), Case: s.what + " carrying a neighbour advertisement", Frames: one(enc(poison, s.tags...)), Want: drop(reason.VLANTag)},
		)
	}
	q := tag{0x8100, 0}
	return append(vs,
		Vector{ID: "H42", Case: "SNAP carrying a router advertisement: plain, length 1501, bridge-tunnel OUI, behind VID 0", Want: drop(reason.RARogue), Frames: [][]byte{
			llcsnap(ra, 0), llcsnap(ra, 1501), llcsnap(ra, 0, 0, 0, 0xf8), enc(llcsnap(ra, 0), q), enc(llcsnap(ra, 1501), q, q),
		}},
		Vector{ID: "H49", Case: "SNAP carrying a neighbour advertisement", Want: drop(reason.LLC), Frames: one(llcsnap(poison, 0))},
		Vector{ID: "H50", Case: "SNAP that carries a tag and a router advertisement", Want: drop(reason.LLC), Frames: one(llcsnap(enc(ra, q), 0))},
		Vector{ID: "H51", Case: "IPv6 in ethertype IPv4 and ARP", Want: drop(reason.IP4Malformed, reason.ARPMalformed), Frames: [][]byte{retyped(ra, 0x0800), retyped(ra, 0x0806)}},
		Vector{ID: "H52", Case: "VID 0 of own IPv6", Want: drop(reason.VLANTag), Frames: one(enc(udp6(M6, nil), q))},
		Vector{ID: "H53", Case: "own IPv6 to the bridge group", Want: drop(reason.LinkCtl), Frames: one(udp6(M6, func(p *packet6) { p.edst = mac("01:80:c2:00:00:00") }))},
	)
}

// retyped is the frame with another ethertype.
func retyped(f []byte, ethertype uint16) []byte {
	return cat(f[:12], be(ethertype), f[14:])
}
