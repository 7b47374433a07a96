package dhcp6

import (
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func TestSameDUID(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		same       bool
	}{
		{"LLT, another time", "0001000132940e66525400aa0001", "0001000100000000525400aa0001", true},
		{"LLT, another address", "0001000132940e66525400aa0001", "0001000132940e66525400aa0002", false},
		{"LLT, another hardware type", "0001000132940e66525400aa0001", "0001000632940e66525400aa0001", false},
		{"LLT without an address, another time", "0001000132940e66", "0001000132940e67", false},
		{"LLT and LL", "0001000132940e66525400aa0001", "00030001525400aa0001", false},
		{"LL", "00030001525400aa0001", "00030001525400aa0001", true},
		{"LL, another address", "00030001525400aa0001", "00030001525400aa0002", false},
		{"EN, another identifier", "00020000ab11c0ffee", "00020000ab11c0ffef", false},
		{"EN, where LLT has its time", "00020000ab11c0ffeeaa", "00020000ab12c0ffeeaa", false},
		{"UUID", ourDUID, ourDUID, true},
		{"UUID, where LLT has its time", ourDUID, "0004010203040506ff08090a0b0c0d0e0f10", false},
		{"one longer", "00030001525400aa0001", "00030001525400aa000100", false},
		{"none", "", "00030001525400aa0001", false},
	} {
		if got := sameDUID(unhex(t, c.a), unhex(t, c.b)); got != c.same {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

// With a DUID named, another client meets silence or a refusal; the named one
// is served.
func TestOtherClient(t *testing.T) {
	strict := changed(func(b *nic.Binding) { b.DHCP6.DUID = unhex(t, "00030001525400ffffff") })
	for kind, options := range clientTypes() {
		checkSilent(t, Answer(server(strict), asks(t, kind, options...)), kind, reason.DHCPOtherClient)
	}
	checkSilent(t, Answer(server(strict), asks(t, informationRequest)), informationRequest, reason.DHCPOtherClient)

	refusing := changed(func(b *nic.Binding) { b.DHCP6.DUID, b.DHCP6.Refuse = unhex(t, "00030001525400ffffff"), true })
	mine := opt(1, "00030001525400ffffff")
	golden(t, []scenario{
		{"SOLICIT", refusing, asks(t, solicit, clientID, rapid, na(1), ta(2), pd(3))},
		{"REQUEST", refusing, asks(t, request, clientID, serverID, na(1, "2001:db8:1::10"))},
		{"RENEW", refusing, asks(t, renew, clientID, serverID, na(1, "2001:db8:1::10"))},
		{"REBIND", refusing, asks(t, rebind, clientID, na(1), pd(1, "2001:db8:100::/56"))},
		{"nothing to refuse", refusing, asks(t, solicit, clientID)},
		{"CONFIRM", refusing, asks(t, confirm, clientID, na(1, "2001:db8:1::10"))},
		{"RELEASE", refusing, asks(t, release, clientID, serverID, na(1, "2001:db8:1::10"))},
		{"INFORMATION-REQUEST", refusing, asks(t, informationRequest, clientID)},
		{"the named client", refusing, asks(t, solicit, mine, na(1))},
	})
}
