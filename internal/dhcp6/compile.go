package dhcp6

import (
	"net/netip"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// Compiled is what one NIC's server can say, prepared for whoever answers
// without this package, byte for byte as Answer does. Whoever does must hand
// over what Compiled says nothing about: relayed messages, other clients than
// Client, options and identity associations that come twice, an IA_TA, replies
// longer than Limit.
type Compiled struct {
	Addr  netip.Addr // the source of every reply
	Limit int        // octets of UDP payload that a reply may have

	Stateful    bool   // answers everything but INFORMATION-REQUEST
	Stateless   bool   // answers INFORMATION-REQUEST
	RapidCommit bool   // a SOLICIT that asks for it gets a REPLY
	Unicast     bool   // a message may come by unicast, if it names its server
	Client      []byte // option 1 of the only client that is answered; nil: any
	ClientTime  bool   // Client has a time that does not count (RFC 8415 11.2)

	Heads     Heads
	Addresses Lease
	Prefixes  Lease
	Named     bool           // identity associations are told apart by IAID: hand them over
	Held      []netip.Prefix // everything that is the NIC's, addresses as /128

	Options map[uint16][]byte // by code, as on the wire; 32 goes with INFORMATION-REQUEST only
	FQDN    [2][]byte         // option 39 as on the wire, by the client's S bit
	Arch    bool              // a client with an architecture may have another boot URL
}

// Heads are the options of a reply between the client's identifier and the
// identity associations, by kind of reply.
type Heads struct {
	Advertise []byte
	Rapid     []byte // of the REPLY to a SOLICIT
	Reply     []byte // of one to a REQUEST, RENEW or REBIND
	Inform    []byte // of one to an INFORMATION-REQUEST: the server's identifier alone
	Success   []byte // of one with this status
	NotOnLink []byte
}

// Lease is what an identity association of one kind gets.
type Lease struct {
	Body  []byte       // T1, T2 and the leases, as on the wire behind the IAID
	First netip.Prefix // the first of the leases; the zero Prefix if there are none
}

// Compile prepares the answers of a server; false if it has none.
func Compile(s Server) (Compiled, bool) {
	if s.Binding == nil {
		return Compiled{}, false
	}
	b, d := s.Binding, &s.Binding.DHCP6
	c := Compiled{
		Addr: s.Addr, Limit: limit(b),
		Stateful: s.admits(solicit), Stateless: s.admits(informationRequest),
		RapidCommit: d.RapidCommit, Unicast: d.Unicast,
		Heads: s.heads(), Addresses: leaseOf(b, optIANA), Prefixes: leaseOf(b, optIAPD),
		Named: len(d.IAs) > 0, Held: held(b), Options: s.everyOption(), Arch: len(d.BootArch) > 0,
	}
	if len(d.DUID) > 0 {
		c.Client, c.ClientTime = option{optClientID, d.DUID}.appendTo(nil), isLLT(d.DUID)
	}
	for i, flags := range [...]byte{0, fqdnServer} {
		c.FQDN[i] = option{optClientFQDN, fqdn(b, flags)}.appendTo(nil)
	}
	return c, c.Stateful || c.Stateless
}

// ordinary is a client's message of one kind that has nothing wrong.
func (s Server) ordinary(kind messageType) *exchange {
	return &exchange{
		Server: s,
		query:  Query{EthSrc: s.Binding.MAC, Src: s.Binding.MAC.EUI64(), Dst: allServersAndRelays()},
		m:      message{kind: kind, options: singles{optClientID: make([]byte, minDUID)}},
	}
}

// admits reports whether messages of a kind are answered at all.
func (s Server) admits(kind messageType) bool { return s.ordinary(kind).admit() == reason.None }

func (s Server) heads() Heads {
	return Heads{
		Advertise: s.headOf(solicit, draft{kind: advertise, config: true}),
		Rapid:     s.headOf(solicit, draft{kind: reply, config: true}),
		Reply:     s.headOf(request, draft{kind: reply, config: true}),
		Inform:    s.headOf(informationRequest, draft{kind: reply, config: true}),
		Success:   s.headOf(confirm, draft{kind: reply, status: []option{success.option()}}),
		NotOnLink: s.headOf(confirm, draft{kind: reply, status: []option{notOnLink.option()}}),
	}
}

func (s Server) headOf(kind messageType, d draft) []byte {
	x := s.ordinary(kind)
	delete(x.m.options, optClientID)
	return appendAll(x.head(d))
}

// everyOption is the configuration in full: no message gets more than
// INFORMATION-REQUEST but for its own name.
func (s Server) everyOption() map[uint16][]byte {
	c := s.ordinary(informationRequest).configuration()
	out := make(map[uint16][]byte, len(c))
	for code := range c {
		if b := appendAll(c.options(code)); len(b) > 0 {
			out[code] = b
		}
	}
	return out
}

func appendAll(list []option) (b []byte) {
	for _, o := range list {
		b = o.appendTo(b)
	}
	return b
}

// leaseOf is what an IA that the binding does not name gets.
func leaseOf(b *nic.Binding, code uint16) Lease {
	g := grant{ia: ia{code: code}, given: claim{code: code}.leases(b)}
	l := Lease{Body: g.option(&b.DHCP6).data[iataHeader:]}
	if len(g.given) > 0 {
		l.First = g.given[0]
	}
	return l
}
