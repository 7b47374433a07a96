package ganeti

import (
	"math/bits"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// What BERTH_NETWORK may be.
const (
	byName = "name"
	byLink = "link"
)

// Settings are what /etc/default/snf-network says.
type Settings struct {
	Tags       Tags
	Mask       mask
	TapMAC     nic.MAC // of a routed NIC's host interface, the same on all nodes
	ExtraPath  string  // IFUP_EXTRA_SCRIPT; "": none
	NfdhcpdDir string  // NFDHCPD_STATE_DIR: where the binding files were
	Namespace  string  // BERTH_NETWORK: which network a binding is of
}

// Tags are the names of tags of a Ganeti network.
type Tags struct {
	Served, Filtered, Uplinked, Masqueraded, Public, DNS string
}

// defaults are snf-network's own.
func defaults() Settings {
	return Settings{
		Tags: Tags{
			Served: "nfdhcpd", Filtered: "private-filtered", Uplinked: "ip-less-routed",
			Masqueraded: "masq", Public: "public", DNS: "public",
		},
		Mask:       mask{20},
		TapMAC:     nic.MAC{0xcc, 'G', 'R', 'N', 'E', 'T'},
		NfdhcpdDir: "/var/lib/nfdhcpd",
	}
}

// Keys are those of the file that are read, and then those that snf-network
// read and that mean nothing here.
func Keys() (read, ignored []string) {
	read = []string{
		"MAC_MASK", "TAP_CONSTANT_MAC", "IFUP_EXTRA_SCRIPT", "NFDHCPD_STATE_DIR", "BERTH_NETWORK",
		"NFDHCPD_TAG", "MAC_FILTERED_TAG", "IP_LESS_ROUTED_TAG", "MASQ_TAG", "PUBLIC_TAG", "DNS_TAG",
	}
	ignored = []string{
		"STATE_DIR", "LOGFILE", "MAC2EUI64", "GANETI_NIC_DIR", "RUNLOCKED_OPTS", "AUTHENTICATION_METHOD",
		"SERVER", "FZONE", "KEYFILE", "TTL", "KERBEROS_KEYTAB", "KERBEROS_KSTART_ARGS", "KERBEROS_PRINCIPAL",
	}
	return read, ignored
}

// ParseSettings reads the file as far as it is assignments of words to
// variables, which is how it is shipped. A value that only a shell would
// understand is a mistake at a key that is read, and else nothing.
func ParseSettings(file string, data []byte) (Settings, []manifest.Problem) {
	s := defaults()
	var all []manifest.Problem
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		word, plain := unquote(value)
		text := "only a shell understands this"
		if plain {
			text = s.set(key, word)
		} else if !s.knows(key) {
			continue
		}
		if text != "" {
			all = append(all, manifest.Problem{File: file, Line: number, Column: 1, Field: key, Value: value, Text: text})
		}
	}
	return s, all
}

func (s *Settings) words() map[string]*string {
	return map[string]*string{
		"NFDHCPD_TAG": &s.Tags.Served, "MAC_FILTERED_TAG": &s.Tags.Filtered, "IP_LESS_ROUTED_TAG": &s.Tags.Uplinked,
		"MASQ_TAG": &s.Tags.Masqueraded, "PUBLIC_TAG": &s.Tags.Public, "DNS_TAG": &s.Tags.DNS,
		"IFUP_EXTRA_SCRIPT": &s.ExtraPath, "NFDHCPD_STATE_DIR": &s.NfdhcpdDir,
	}
}

func (s *Settings) knows(key string) bool {
	_, word := s.words()[key]
	return word || key == "MAC_MASK" || key == "TAP_CONSTANT_MAC" || key == "BERTH_NETWORK"
}

// set returns what is wrong with a value.
func (s *Settings) set(key, value string) string {
	if word, ok := s.words()[key]; ok {
		*word = value
		return ""
	}
	switch key {
	case "MAC_MASK":
		m, err := parseMask(value)
		if !err {
			return "not a mask of leading bits, such as ff:ff:f0:00:00:00"
		}
		s.Mask = m
	case "TAP_CONSTANT_MAC":
		m, err := nic.ParseMAC(value)
		if err != nil || m.IsGroup() || m.IsZero() {
			return "not the MAC address of an interface"
		}
		s.TapMAC = m
	case "BERTH_NETWORK":
		if value != "" && value != byName && value != byLink {
			return "neither name nor link"
		}
		s.Namespace = value
	}
	return ""
}

func parseMask(s string) (m mask, ok bool) {
	a, err := nic.ParseMAC(s)
	if err != nil {
		return m, false
	}
	var v uint64
	for _, b := range a {
		v = v<<8 | uint64(b)
	}
	ones := bits.OnesCount64(v)
	leading := ones > 0 && v == (1<<48-1)&^(1<<(48-ones)-1)
	return mask{uint8(ones)}, leading
}

// unquote returns a shell word's text; a word with more in it than one pair of
// quotes is not plain.
func unquote(s string) (word string, plain bool) {
	s = strings.TrimSpace(s)
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		inner, rest, closed := strings.Cut(s[1:], s[:1])
		rest = strings.TrimSpace(rest)
		single := s[0] == '\''
		return inner, closed && (rest == "" || rest[0] == '#') && (single || !strings.ContainsAny(inner, "$`\\"))
	}
	word, _, _ = strings.Cut(s, " ")
	return word, !strings.ContainsAny(word, "$`\\\"';&|<>(){}*?")
}
