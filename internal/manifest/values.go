package manifest

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, errors.New("not an IP address")
	}
	return a, nil
}

// parseAddr4 leaves an IPv6 address to nic.Validate, which says where it
// belongs; so does parseAddr6 with an IPv4 address.
func parseAddr4(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, errors.New("not an IPv4 address")
	}
	return a, nil
}

func parseAddr6(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, errors.New("not an IPv6 address")
	}
	return a, nil
}

// ownAddress reads an address with its subnet's length, or a /64 that is
// followed by eui-64: then it is the one the guest's MAC gives there
// (RFC 4291 appendix A).
func ownAddress(mac nic.MAC) func(string) (netip.Prefix, error) {
	return func(s string) (netip.Prefix, error) {
		subnet, derived := strings.CutSuffix(s, " eui-64")
		if !derived {
			return parsePrefix(s)
		}
		p, err := netip.ParsePrefix(strings.TrimSpace(subnet))
		if err != nil || !p.Addr().Is6() || p.Bits() != 64 || p != p.Masked() {
			return p, errors.New("what stands before eui-64 is not a /64 such as 2001:db8::/64")
		}
		return netip.PrefixFrom(mac.InPrefix(p), 64), nil
	}
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err == nil {
		return p, nil
	}
	if a, plain := netip.ParseAddr(s); plain == nil {
		usual := 64
		if a.Is4() {
			usual = 24
		}
		return p, fmt.Errorf("has no prefix length; write %s/%d or whatever its subnet is", s, usual)
	}
	return p, errors.New("not an address with its subnet's length such as 192.0.2.10/24")
}

func parsePrefix6(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, errors.New("not an IPv6 prefix such as 2001:db8::/64")
	}
	return p, nil
}

func parseAllow(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, errors.New("not an address or a prefix")
	}
	return p, nil
}

func parseVLAN(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, errors.New("not a VLAN from 1 to 4094")
	}
	return uint16(n), nil
}

func parseEthertype(s string) (uint16, error) {
	h, ok := strings.CutPrefix(strings.ToLower(s), "0x")
	n, err := strconv.ParseUint(h, 16, 16)
	if !ok || err != nil {
		return 0, errors.New("not an ethertype such as 0x88cc")
	}
	return uint16(n), nil
}

// parsePeer reads one MAC, or the beginning that many have.
func parsePeer(s string) (nic.MACRange, error) {
	r, err := nic.ParseMACRange(s)
	if err != nil {
		return r, errors.New("not a MAC address or a beginning of one such as aa:00:10:00:00:00/20")
	}
	return r, nil
}

func parseMAC(s string) (nic.MAC, error) {
	m, err := nic.ParseMAC(s)
	if err != nil {
		return m, errors.New("not a MAC address; want six octets like 52:54:00:aa:00:01")
	}
	return m, nil
}
