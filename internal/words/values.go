package words

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// format prints an option's value. One that does not have the option's form is
// printed in hex.
type format func([]byte) string

func inHex(b []byte) string { return fmt.Sprintf("%x", b) }

func quoted(b []byte) string { return strconv.QuoteToASCII(string(b)) }

// number of one, two or four bytes.
func number(b []byte) string {
	switch len(b) {
	case 1:
		return strconv.Itoa(int(b[0]))
	case 2:
		return strconv.Itoa(int(be16(b)))
	case 4:
		return strconv.FormatUint(uint64(be32(b)), 10)
	}
	return inHex(b)
}

func seconds(b []byte) string {
	if len(b) != 4 {
		return inHex(b)
	}
	return lifetime(be32(b))
}

// lifetime of so many seconds; all bits set is for ever in every protocol here.
func lifetime(s uint32) string {
	if s == 0xffffffff {
		return "for ever"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		size uint32
	}{{"h", 3600}, {"m", 60}, {"s", 1}} {
		if n := s / u.size; n > 0 || u.size == 1 && b.Len() == 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
		}
		s %= u.size
	}
	return b.String()
}

func addresses4(b []byte) string {
	return list(b, 4, func(a []byte) string { return addr4(a).String() })
}

func addresses6(b []byte) string {
	return list(b, 16, func(a []byte) string { return addr6(a).String() })
}

func numbers8(b []byte) string { return list(b, 1, number) }

func numbers16(b []byte) string { return list(b, 2, number) }

// list prints members of one length each.
func list(b []byte, size int, f format) string {
	if len(b) == 0 || len(b)%size != 0 {
		return inHex(b)
	}
	var all []string
	for ; len(b) > 0; b = b[size:] {
		all = append(all, f(b[:size]))
	}
	return strings.Join(all, ", ")
}

// routes4 is RFC 3442's: a length, as much of the destination as that needs,
// and the router.
func routes4(b []byte) string {
	var all []string
	for rest := b; len(rest) > 0; {
		bits := int(rest[0])
		n := (bits + 7) / 8
		if bits > 32 || len(rest) < 1+n+4 {
			return inHex(b)
		}
		var to [4]byte
		copy(to[:], rest[1:1+n])
		all = append(all, fmt.Sprintf("%s via %s", netip.PrefixFrom(netip.AddrFrom4(to), bits), addr4(rest[1+n:])))
		rest = rest[1+n+4:]
	}
	return strings.Join(all, ", ")
}

// names reads names in wire form one after the other. In DHCPv6 and in neighbour
// discovery none is compressed (RFC 8415 10, RFC 8106 5.2).
func names(b []byte) string { return nameList(b, false) }

// compressed reads them with the compression of RFC 1035 4.1.4 that RFC 3397
// permits: an option of DHCPv4 has room for few.
func compressed(b []byte) string { return nameList(b, true) }

func nameList(b []byte, pointers bool) string {
	var all []string
	for at := 0; at < len(b) && b[at] != 0; {
		name, next, ok := nameAt(b, at, pointers)
		if !ok {
			return inHex(b)
		}
		all, at = append(all, quoted([]byte(name))), next
	}
	return strings.Join(all, ", ")
}

// nameAt follows pointers to ever lower places only, which ends. A name that
// ends with the bytes is partial, and has no root (RFC 4702 2.3.1).
func nameAt(b []byte, at int, pointers bool) (name string, next int, ok bool) {
	var labels []string
	next = -1
	for lowest := at; at < len(b) && b[at] != 0; {
		n := int(b[at])
		switch {
		case n < 64 && at+1+n <= len(b):
			labels = append(labels, string(b[at+1:at+1+n]))
			at += 1 + n
		case pointers && n >= 0xc0 && at+1 < len(b) && (n&0x3f)<<8|int(b[at+1]) < lowest:
			if next < 0 {
				next = at + 2
			}
			at = (n&0x3f)<<8 | int(b[at+1])
			lowest = at
		default:
			return "", 0, false
		}
	}
	if next < 0 {
		next = at + 1
	}
	return strings.Join(labels, "."), next, true
}
