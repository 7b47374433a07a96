package manifest

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// The words of each choice, by the value they stand for. "" is no word.

func guardModes() []string {
	return []string{nic.Enforce: "enforce", nic.Audit: "audit", nic.Off: "off"}
}

func ipv6Modes() []string {
	return []string{nic.IPv6Auto: "auto", nic.IPv6Off: "off", nic.IPv6LinkLocal: "link-local"}
}

func linkLocalKinds() []string {
	return []string{nic.FirstCome: "first-come", nic.EUI64Only: "eui-64"}
}

func neighbourLevels() []string {
	return []string{nic.NeighboursOff: "off", nic.NeighboursServer: "server", nic.NeighboursGateway: "gateway", nic.NeighboursAll: "all"}
}

func servers() []string {
	return []string{nic.ServedByBerth: "berth", nic.ServedBySite: "site", nic.ServedByTenant: "tenant"}
}

func dhcp6Modes() []string {
	return []string{nic.DHCP6Both: "both", nic.DHCP6Stateful: "stateful", nic.DHCP6Stateless: "stateless", nic.DHCP6Off: "off"}
}

func raModes() []string {
	return []string{nic.RAServe: "serve", nic.RAOff: "off", nic.RASite: "site"}
}

func preferences() []string {
	return []string{nic.PreferenceMedium: "medium", nic.PreferenceHigh: "high", nic.PreferenceLow: "low"}
}

// choice returns the value of a word. A nil s is the first.
func (b *builder) choice(path string, s *string, words []string) int {
	if s == nil {
		return 0
	}
	if i := slices.Index(words, *s); i >= 0 && *s != "" {
		return i
	}
	b.bad(path, *s, errors.New("must be "+either(words)))
	return 0
}

// either lists words for a message.
func either(words []string) string {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" })
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// wordOrList is a key that takes a word or a list of addresses.
type wordOrList []string

// word returns the word it is, false if it is a list.
func (l wordOrList) word() (string, bool) {
	if len(l) != 1 {
		return "", false
	}
	_, err := netip.ParseAddr(l[0])
	return l[0], err != nil
}

// MarshalJSON writes it as it is read.
func (l wordOrList) MarshalJSON() ([]byte, error) {
	if w, ok := l.word(); ok {
		return json.Marshal(w)
	}
	return json.Marshal([]string(l))
}
