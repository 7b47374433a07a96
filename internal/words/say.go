package words

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// NIC is whose frames are made: what its guest, and the gateway on its link,
// would fill in.
type NIC struct {
	MAC       nic.MAC
	IP4, IP6  netip.Addr // zero: it has none
	LinkLocal netip.Addr // zero: that of its MAC
	Prefixes  bool       // prefixes are delegated to it

	ServerID   netip.Addr // DHCPv4's; zero: not known
	ServerDUID []byte     // DHCPv6's; nil: not known
	Gateway    netip.Addr
	Gateway6   netip.Addr
	GatewayMAC nic.MAC
}

// Somebody is the MAC of a station that nothing is known of.
func Somebody() nic.MAC { return nic.MAC{0x02, 0, 0, 0, 0, 0x01} }

// form is one kind of sentence.
type form struct {
	words  string // how it begins
	rest   string // what follows, for people; "" is nothing, "[" may be left out
	about  string
	family func(NIC) netip.Addr // of the address that is meant where none is named; nil: none is
	build  func(*sentence) []byte
}

func (f form) usage() string { return strings.TrimSpace(f.words + " " + f.rest) }

// sentence is what a frame is made of.
type sentence struct {
	nic     NIC
	speaker end        // the frame's sender
	other   end        // at the other side of the link
	addr    netip.Addr // named, or meant
	to      netip.Addr // of ip
	port    uint16
}

// end is one side of the NIC's link.
type end struct {
	mac    nic.MAC
	a4, a6 netip.Addr // a6 is a link-local
}

// Forms lists the sentences and what each is, in the order of the help.
func Forms() [][2]string {
	var all [][2]string
	for _, f := range forms() {
		all = append(all, [2]string{f.usage(), f.about})
	}
	return all
}

// Frame makes a frame of words, as the NIC's guest would send it, or, towards
// the guest, as its gateway would. Any sentence may begin with "from MAC" and
// "to MAC", which replace the Ethernet addresses and nothing else.
func Frame(n NIC, toGuest bool, words []string) ([]byte, error) {
	from, words, err := cutMAC("from", words)
	if err != nil {
		return nil, err
	}
	to, words, err := cutMAC("to", words)
	if err != nil {
		return nil, err
	}
	f, rest, err := findForm(words)
	if err != nil {
		return nil, err
	}
	s, err := newSentence(n, toGuest, f, rest)
	if err != nil {
		return nil, err
	}
	frame := f.build(s)
	if from != nil {
		copy(frame[6:], from[:])
	}
	if to != nil {
		copy(frame, to[:])
	}
	return frame, nil
}

func cutMAC(word string, words []string) (*nic.MAC, []string, error) {
	if len(words) == 0 || words[0] != word {
		return nil, words, nil
	}
	if len(words) < 2 {
		return nil, nil, fmt.Errorf("%s: want a MAC address behind it", word)
	}
	m, err := nic.ParseMAC(words[1])
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", word, err)
	}
	return &m, words[2:], nil
}

// findForm finds the longest beginning.
func findForm(words []string) (form, []string, error) {
	best, n := form{}, 0
	for _, f := range forms() {
		begin := strings.Fields(f.words)
		if len(begin) > n && len(words) >= len(begin) && slices.Equal(begin, words[:len(begin)]) {
			best, n = f, len(begin)
		}
	}
	if n > 0 {
		return best, words[n:], nil
	}
	if len(words) == 0 {
		return best, nil, fmt.Errorf("want a frame, such as: dhcp discover")
	}
	return best, nil, noForm(words)
}

// noForm says which sentences begin with the first word.
func noForm(words []string) error {
	var near []string
	for _, f := range forms() {
		if strings.Fields(f.words)[0] == words[0] {
			near = append(near, f.usage())
		}
	}
	if len(near) == 0 {
		return fmt.Errorf("no frame begins with %q: want dhcp, dhcp6, rs, ra, ns, na, dad, arp or ip", words[0])
	}
	return fmt.Errorf("%q is no frame: want %s", strings.Join(words, " "), strings.Join(near, ", or "))
}

func newSentence(n NIC, toGuest bool, f form, rest []string) (*sentence, error) {
	s := &sentence{
		nic:     n,
		speaker: end{mac: n.MAC, a4: n.IP4, a6: n.MAC.EUI64()},
		other:   end{mac: n.GatewayMAC, a4: n.Gateway, a6: n.Gateway6},
	}
	if s.other.mac.IsZero() {
		s.other.mac = Somebody()
	}
	if n.LinkLocal.IsValid() {
		s.speaker.a6 = n.LinkLocal
	}
	if !s.other.a6.IsLinkLocalUnicast() {
		s.other.a6 = s.other.mac.EUI64()
	}
	if toGuest {
		s.speaker, s.other = s.other, s.speaker
	}
	if f.words == "ip" {
		return s, s.between(rest)
	}
	return s, s.about(f, rest)
}

// about reads the one address of a sentence.
func (s *sentence) about(f form, rest []string) (err error) {
	takes, must := f.rest != "", f.rest != "" && f.rest[0] != '['
	switch {
	case len(rest) > 1 || len(rest) == 1 && !takes:
		return fmt.Errorf("%s: %q is too much: want %s", f.words, rest[len(rest)-1], f.usage())
	case len(rest) == 1:
		s.addr, err = address(rest[0])
	case must:
		return fmt.Errorf("want %s", f.usage())
	case f.family != nil:
		s.addr = f.family(s.nic)
	}
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", f.words, err)
	case takes && !s.addr.IsValid():
		return fmt.Errorf("%s: the NIC has no such address: name one", f.words)
	case takes && s.addr.Is4() != strings.Contains(f.rest, "IPV4"):
		return fmt.Errorf("%s: %s is of the other family", f.words, s.addr)
	}
	return nil
}

// between reads A to B, and a port.
func (s *sentence) between(rest []string) error {
	if len(rest) != 3 && len(rest) != 5 || rest[1] != "to" && rest[1] != "->" {
		return fmt.Errorf("want ip ADDRESS to ADDRESS [port NUMBER] (a shell takes > for itself)")
	}
	var err error
	if s.addr, err = address(rest[0]); err == nil {
		s.to, err = address(rest[2])
	}
	if err != nil {
		return fmt.Errorf("ip: %w", err)
	}
	if s.addr.Is4() != s.to.Is4() {
		return fmt.Errorf("ip: %s and %s are of two families", s.addr, s.to)
	}
	s.port = 9 // discard (RFC 863)
	if len(rest) == 5 {
		if _, err := fmt.Sscanf(rest[3]+" "+rest[4], "port %d", &s.port); err != nil || fmt.Sprint(s.port) != rest[4] {
			return fmt.Errorf("ip: %q is not a port: want port NUMBER", strings.Join(rest[3:], " "))
		}
	}
	return nil
}

func address(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return a, fmt.Errorf("%q is not an address", s)
	}
	return a, nil
}

func own4(n NIC) netip.Addr { return n.IP4 }
func own6(n NIC) netip.Addr { return n.IP6 }

// Check reads words without a NIC: its error says what is wrong with them on
// any.
func Check(words []string) error {
	_, err := Frame(NIC{IP4: netip.IPv4Unspecified(), IP6: netip.IPv6Unspecified()}, false, words)
	return err
}
