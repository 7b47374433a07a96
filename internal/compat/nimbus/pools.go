package nimbus

import (
	"fmt"
	"net/netip"
	"path"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// File is one file of network-pools.
type File struct {
	Name string
	Data []byte
}

// Pool is the network of one file.
type Pool struct {
	Network string     // the file's name
	DNS     netip.Addr // zero: none
	Entries []PoolEntry
}

// PoolEntry is one address that the service may give to a NIC.
type PoolEntry struct {
	Hostname           string
	Address            netip.Addr
	Gateway, Broadcast netip.Addr // zero: none
	Bits               int        // length of the subnet; 0: not given
	MAC                nic.MAC    // zero: the service makes one up
	Line               int
}

// ParsePools reads the service's pools: the DNS server or `none`, then
// `hostname ip gateway broadcast mask [MAC]` a line. A bad line costs itself, a
// file without a DNS line all of it. An address or MAC in two places is a
// mistake at the second one, of all files together.
func ParsePools(files []File) (pools []Pool, problems []manifest.Problem) {
	seen := map[string]string{}
	for _, f := range files {
		pool, bad := parsePool(f, seen)
		problems = append(problems, bad...)
		if pool != nil {
			pools = append(pools, *pool)
		}
	}
	return pools, problems
}

func parsePool(f File, seen map[string]string) (pool *Pool, bad Mistakes) {
	r := reader{file: f.Name, none: "none"}
	for i, text := range strings.Split(string(f.Data), "\n") {
		r.line = i + 1
		words := strings.Fields(text)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case pool == nil:
			if pool = r.poolHead(words); pool == nil {
				return nil, r.bad
			}
		default:
			r.poolEntry(pool, words, seen)
		}
	}
	if pool == nil {
		r.line = 0
		r.fail("", "", "no line with the DNS server, or none: the whole pool is left out")
	}
	return pool, r.bad
}

func (r *reader) poolHead(words []string) *Pool {
	before := len(r.bad)
	dns := r.optionalAddr("DNS", words[0])
	if len(words) > 1 || len(r.bad) > before {
		r.bad = r.bad[:before]
		r.fail("DNS", strings.Join(words, " "), "want one DNS server, or none: the whole pool is left out")
		return nil
	}
	return &Pool{Network: path.Base(r.file), DNS: dns}
}

func (r *reader) poolEntry(pool *Pool, words []string, seen map[string]string) {
	const least, most = 5, 6
	if len(words) < least || len(words) > most {
		r.fail("", "", "%d words, want `hostname ip gateway broadcast mask [MAC]`", len(words))
		return
	}
	before := len(r.bad)
	if words[0] == r.none {
		r.fail("hostname", words[0], "needed")
	}
	e := PoolEntry{
		Hostname: words[0], Address: r.addr("ip", words[1]), Gateway: r.optionalAddr("gateway", words[2]),
		Broadcast: r.optionalAddr("broadcast", words[3]), Bits: r.mask("mask", words[4]), Line: r.line,
	}
	if len(words) == most {
		e.MAC = r.mac("MAC", words[5])
	}
	if len(r.bad) == before && r.first("ip", e.Address.String(), seen) && (e.MAC.IsZero() || r.first("MAC", e.MAC.String(), seen)) {
		pool.Entries = append(pool.Entries, e)
	}
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
