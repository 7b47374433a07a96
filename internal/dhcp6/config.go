package dhcp6

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/berth-net/berth/internal/nic"
)

// configuration is what may be told to this client, by code. An option may
// come several times; it is sent whole or not at all.
type configuration map[uint16][][]byte

// minRefresh is IRT_MINIMUM (RFC 8415 7.6).
const minRefresh = nic.Seconds(600)

// configuration derives every option the binding can give this client; the
// binding's own options win.
func (x *exchange) configuration() configuration {
	b := x.Binding
	c := configuration{}
	c.set(optDNS, addresses(b.DNS))
	c.set(optSearch, searchList(b))
	c.set(optSNTP, addresses(b.NTP))
	c[optNTP] = timeServers(b.NTP)
	c.set(optCaptivePortal, []byte(b.CaptivePortal))
	c.seconds(optSolMaxRT, b.DHCP6.SolMaxRT)
	c.seconds(optInfMaxRT, b.DHCP6.InfMaxRT)
	c.boot(&b.DHCP6, x.bootURL())
	if r := b.DHCP6.Refresh; r != 0 {
		c.seconds(optRefreshTime, max(minRefresh, r))
	}
	c.own(b.DHCP6.Options)
	if x.m.kind != informationRequest { // RFC 8415 21.23
		delete(c, optRefreshTime)
	}
	if flags, ok := x.clientFQDN(); ok {
		c.set(optClientFQDN, fqdn(b, flags))
	}
	return c
}

// choose picks the configuration to send, in the order asked, each code once:
// whatever still finds room, so that one large option does not take the
// smaller ones after it along. It returns the room left.
func (x *exchange) choose(room int) ([]option, int) {
	have := x.configuration()
	var list []option
	for _, code := range x.asked() {
		o := have.options(code)
		delete(have, code)
		if n := sizeOf(o); n <= room {
			list = append(list, o...)
			room -= n
		}
	}
	return list, room
}

// asked is what the client wants. One that sends no option 6 gets what no
// host does without. The client's own name is answered though it may not be
// asked for: systemd-networkd sends option 39 and does not list it.
func (x *exchange) asked() []uint16 {
	list := []uint16{optDNS, optSearch}
	if oro, ok := x.m.options[optORO]; ok {
		list = codes(oro)
	}
	return append(list, optClientFQDN)
}

// own lets the binding's options win over derived ones.
func (c configuration) own(list []nic.Option6) {
	mine := configuration{}
	for _, o := range list {
		if !reserved(o.Code) {
			mine[o.Code] = append(mine[o.Code], o.Data)
		}
	}
	for code, data := range mine {
		c[code] = data
	}
}

// reserved reports whether an option is the protocol's own. A binding that
// sets one is refused when it is read; here it is only not sent.
func reserved(code uint16) bool {
	switch code {
	case optClientID, optServerID, optIANA, optIATA, optIAAddr, optORO, optPreference,
		optElapsedTime, optRelayMessage, optAuth, optUnicast, optStatusCode, optRapidCommit,
		optInterfaceID, optReconfMessage, optReconfAccept, optIAPD, optIAPrefix,
		optClientFQDN, optEchoRequest:
		return true
	}
	return false
}

func (c configuration) options(code uint16) []option {
	var list []option
	for _, data := range c[code] {
		list = append(list, option{code, data})
	}
	return list
}

// set adds an option that has something to say.
func (c configuration) set(code uint16, data []byte) {
	if len(data) > 0 {
		c[code] = [][]byte{data}
	}
}

func (c configuration) seconds(code uint16, s nic.Seconds) {
	if s != 0 {
		c.set(code, appendSeconds(nil, s))
	}
}

// boot adds options 59 and 60 (RFC 5970 3.1, 3.2); parameters alone are of no
// use.
func (c configuration) boot(d *nic.DHCP6, url string) {
	if url == "" {
		return
	}
	c.set(optBootURL, []byte(url))
	var b []byte
	for _, arg := range d.BootArgs {
		b = binary.BigEndian.AppendUint16(b, uint16(len(arg)))
		b = append(b, arg...)
	}
	c.set(optBootArgs, b)
}

// bootURL follows the client's architectures in its order (RFC 5970 3.3).
func (x *exchange) bootURL() string {
	d := &x.Binding.DHCP6
	for _, arch := range codes(x.m.options[optArch]) {
		if url, ok := d.BootArch[arch]; ok {
			return url
		}
	}
	return d.BootURL
}

// addresses writes the IPv6 ones of a list as one option.
func addresses(list []netip.Addr) []byte {
	var b []byte
	for _, a := range list {
		if a.Is6() {
			b = append(b, a.AsSlice()...)
		}
	}
	return b
}

// timeServers writes option 56: one instance for each server, because one
// holds a single time source (RFC 5908 section 4).
func timeServers(list []netip.Addr) [][]byte {
	const serverAddress = 1
	var out [][]byte
	for a := range slices.Values(list) {
		if a.Is6() {
			out = append(out, option{serverAddress, a.AsSlice()}.appendTo(nil))
		}
	}
	return out
}
