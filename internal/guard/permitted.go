package guard

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Permitted says, for people, what would have passed of what a frame was
// dropped for: "MACs: 52:54:00:aa:00:07". It is empty if the reason says all.
func (r *Rules) Permitted(why reason.Reason) string {
	if r.Closed {
		return ""
	}
	switch why { //nolint:exhaustive // all others stand for themselves
	case reason.MACSpoof, reason.ARPSpoofMAC, reason.NDSpoofMAC:
		return "MACs: " + some(r.MACs)
	case reason.IP4Spoof, reason.ARPSpoofIP, reason.ARPProbe:
		return "IPv4 sources: " + some(prefixes(r.IP4))
	case reason.IP6Spoof, reason.NDTarget:
		return fmt.Sprintf("IPv6 sources: %s; link-locals: %s", some(prefixes(r.IP6)), r.linkLocals())
	case reason.LLTaken:
		return "link-locals: " + r.linkLocals()
	case reason.PeerForeign:
		return "peers: " + some(r.Peers)
	case reason.VLANTag:
		return "VLANs: " + some(r.VLANs)
	case reason.Ethertype:
		return "ethertypes: " + some(r.ethertypes())
	case reason.RoutingControl:
		return fmt.Sprintf("VRRP of the groups: IPv4 %s; IPv6 %s", some(r.VRIDs4), some(r.VRIDs6))
	}
	return ""
}

// linkLocals are those the NIC may use, and the routers' that it never may.
func (r *Rules) linkLocals() string {
	var text string
	switch r.LinkLocal {
	case nic.FixedLinkLocal:
		text = some(r.Locals)
	case nic.EUI64Only:
		text = r.MACs[0].EUI64().String()
	default:
		text = "its own choice, if nobody has it"
	}
	if never := r.gateways(); len(never) > 0 {
		text += ", never " + some(never)
	}
	return text
}

func (r *Rules) gateways() []netip.Addr {
	if !r.Gateway6.IsValid() {
		return r.Routers
	}
	return append([]netip.Addr{r.Gateway6}, r.Routers...)
}

func (r *Rules) ethertypes() []string {
	all := []string{"IPv4", "ARP", "IPv6"}
	for _, t := range r.Ethertypes {
		all = append(all, fmt.Sprintf("0x%04x", t))
	}
	return all
}

// prefixes prints single addresses without a length.
func prefixes(list []netip.Prefix) []string {
	var all []string
	for _, p := range list {
		all = append(all, nic.ShortPrefix(p))
	}
	return all
}

// some prints the first of a list, that it stays one line.
func some[T any](list []T) string {
	const shown = 8
	if len(list) == 0 {
		return "none"
	}
	var words []string
	for _, v := range list[:min(len(list), shown)] {
		words = append(words, fmt.Sprint(v))
	}
	if more := len(list) - shown; more > 0 {
		words = append(words, fmt.Sprintf("%d more", more))
	}
	return strings.Join(words, ", ")
}
