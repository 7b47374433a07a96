// Package dnsname writes domain names as they are on the wire, and splits a
// binding's name into host and domain, the same for every protocol.
//
// Not here: which names are allowed (nic).
package dnsname

import "strings"

// Append writes the labels of a name (RFC 1035 section 3.1) without the root.
// A name that has no wire form is not written.
func Append(b []byte, name string) ([]byte, bool) {
	start := len(b)
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if len(label) == 0 || len(label) > 63 {
			return b[:start], false
		}
		b = append(b, byte(len(label)))
		b = append(b, label...)
	}
	if len(b)-start > 254 { // 255 with the root
		return b[:start], false
	}
	return b, true
}

// List writes names one after the other, each with its root; those without a
// wire form are left out.
func List(names []string) []byte {
	var b []byte
	for _, n := range names {
		if whole, ok := Append(b, n); ok {
			b = append(whole, 0)
		}
	}
	return b
}

// Split returns a host's label and its domain, which is that of a full host
// name if none is declared.
func Split(hostname, declared string) (host, domain string) {
	host, domain, _ = strings.Cut(strings.TrimSuffix(hostname, "."), ".")
	if declared != "" {
		domain = strings.TrimSuffix(declared, ".")
	}
	return host, domain
}

// Search returns the search list to announce: the declared one, or the domain.
func Search(list []string, domain string) []string {
	if len(list) == 0 && domain != "" {
		return []string{domain}
	}
	return list
}
