package nimbus

import (
	"fmt"
	"net/netip"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// reader reads values one by one and keeps what is wrong with them.
type reader struct {
	file string
	line int
	none string // the word for a value that is left out
	bad  Mistakes
}

func (r *reader) fail(field, value, format string, args ...any) {
	p := manifest.Problem{File: r.file, Line: r.line, Field: field, Value: value, Text: fmt.Sprintf(format, args...)}
	if r.line > 0 {
		p.Column = 1
	}
	r.bad = append(r.bad, p)
}

func (r *reader) name(field, s string) string {
	if !nic.ValidName(s) {
		r.fail(field, s, "not the name of an interface, which has 1 to 15 bytes without `/`, `:` and white space")
	}
	return s
}

func (r *reader) addr(field, s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		r.fail(field, s, "not an IPv4 address")
		return netip.Addr{}
	}
	return a
}

func (r *reader) optionalAddr(field, s string) netip.Addr {
	if s == r.none {
		return netip.Addr{}
	}
	return r.addr(field, s)
}

func (r *reader) mac(field, s string) nic.MAC {
	m, ok := sixPairs(s)
	if !ok {
		r.fail(field, s, "not a MAC address of six pairs of hex digits")
	}
	return m
}

// sixPairs reads the one form Nimbus knows, 52:54:00:aa:00:07 in any case; an
// interface's name is too short to be one.
func sixPairs(s string) (nic.MAC, bool) {
	const length = 17
	m, err := nic.ParseMAC(s)
	return m, err == nil && len(s) == length
}

// mask reads a dotted mask as a length, 0 for none given.
func (r *reader) mask(field, s string) int {
	if s == r.none {
		return 0
	}
	n, ok := compat.MaskBits(s)
	if !ok || n == 0 {
		r.fail(field, s, "not a mask such as 255.255.255.0: its bits must be set from the left, at least one")
		return 0
	}
	return n
}

// hostname takes the word for none too: an address that was asked for by
// itself has no name.
func (r *reader) hostname(s string) string {
	if s == r.none {
		return ""
	}
	return s
}

func (r *reader) dns(fields map[string]string, order ...string) []netip.Addr {
	var out []netip.Addr
	for _, field := range order {
		if a := r.optionalAddr(field, fields[field]); a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}

// first notes where a value is, and refuses it in a second place.
func (r *reader) first(field, value string, seen map[string]string) bool {
	if at, dup := seen[value]; dup {
		r.fail(field, value, "is at %s already", at)
		return false
	}
	seen[value] = fmt.Sprintf("%s:%d", r.file, r.line)
	return true
}
