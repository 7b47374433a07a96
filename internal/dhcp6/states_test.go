package dhcp6

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

// SOLICIT: the binding's, whatever is hinted; a status for what there is not.
func TestSolicit(t *testing.T) {
	preferred := changed(func(b *nic.Binding) { b.DHCP6.Preference = 255 })
	untimed := changed(func(b *nic.Binding) { b.DHCP6.T1, b.DHCP6.T2 = 0, 0 })
	forever := changed(func(b *nic.Binding) {
		b.DHCP6 = nic.DHCP6{Preferred: nic.Infinite, Valid: nic.Infinite, T1: nic.Infinite, T2: nic.Infinite}
	})
	golden(t, []scenario{
		{"an address", web1(), asks(t, solicit, clientID, na(1), elapsed)},
		{"a prefix", web1(), asks(t, solicit, clientID, pd(1))},
		{"both, the prefix first", web1(), asks(t, solicit, clientID, pd(7), na(7))},
		{"hints are ignored", web1(), asks(t, solicit, clientID, na(1, "2001:db8:1::66", "fe80::1"), pd(2, "::/60", "2001:db8:77::/64"))},
		{"no IA", web1(), asks(t, solicit, clientID)},
		{"rapid commit that is not enabled", web1(), asks(t, solicit, clientID, rapid, na(1))},
		{"with a preference", preferred, asks(t, solicit, clientID, na(1))},
		{"T1 and T2 left to the client", untimed, asks(t, solicit, clientID, na(1), pd(1))},
		{"for ever", forever, asks(t, solicit, clientID, na(1))},
		{"unknown options and inner ones", web1(), asks(t, solicit, unknown, clientID, opt(3, "00000001", "00000e1000001518", unknown), unknown)},
		{"nothing to give", bare(), asks(t, solicit, clientID, na(1), ta(2), pd(3))},
		{"nothing to give but a prefix", changed(func(b *nic.Binding) { b.Addresses = nil }), asks(t, solicit, clientID, na(1), pd(1))},
	})
}

func TestRapidCommit(t *testing.T) {
	with := changed(rapidly, func(b *nic.Binding) { b.DHCP6.Preference = 9 })
	golden(t, []scenario{
		{"asked", with, asks(t, solicit, clientID, rapid, na(1), pd(1))},
		{"not asked", with, asks(t, solicit, clientID, na(1))},
		{"in a REQUEST", with, asks(t, request, clientID, serverID, rapid, na(1))},
	})
}

// REQUEST gives the binding's and takes back what it lists beside.
func TestRequest(t *testing.T) {
	golden(t, []scenario{
		{"what was offered", web1(), asks(t, request, clientID, serverID, na(1, "2001:db8:1::10", "2001:db8:1::11"), pd(1, "2001:db8:100::/56"))},
		{"nothing listed", web1(), asks(t, request, clientID, serverID, na(1))},
		{"another address of the subnet", web1(), asks(t, request, clientID, serverID, na(1, "2001:db8:1::66"))},
		{"an address of another link", web1(), asks(t, request, clientID, serverID, na(1, "2001:db8:2::10"))},
		{"another prefix", web1(), asks(t, request, clientID, serverID, pd(1, "2001:db8:100::/57", "2001:db8:100::/56"))},
		{"hints are nobody's", web1(), asks(t, request, clientID, serverID, na(1, "::"), pd(1, "::/60", "2001:db8::/0"))},
		{"options inside an address", web1(), asks(t, request, clientID, serverID, opt(3, "00000001", "0000000000000000",
			opt(5, "20010db8000100000000000000000066", "0000000000000000", "000d0002 0000"+unknown)))},
		{"an IA too many, of the subnet", web1(), asks(t, request, clientID, serverID, na(1), na(2, "2001:db8:1::66"))},
		{"an IA too many, of another link", web1(), asks(t, request, clientID, serverID, na(1), na(2, "2001:db8:2::10"))},
		{"nothing to give", bare(), asks(t, request, clientID, serverID, na(1), pd(1, "2001:db8:100::/56"))},
		{"nothing to give, of another link", bare(), asks(t, request, clientID, serverID, na(1, "2001:db8:2::10"), na(2, "2001:db8:a::1"))},
	})
}

// RENEW and REBIND: the same, for any IAID and DUID; never NoBinding.
func TestRenewAndRebind(t *testing.T) {
	var list []scenario
	for _, kind := range []messageType{renew, rebind} {
		id := map[messageType]string{renew: serverID}[kind]
		list = append(list,
			scenario{kind.String() + " of what it has", web1(), asks(t, kind, clientID, id, na(1, "2001:db8:1::10", "2001:db8:1::11"), pd(1, "2001:db8:100::/56"))},
			scenario{kind.String() + " after renumbering", web1(), asks(t, kind, clientID, id, na(1, "2001:db8:9::10"), pd(1, "2001:db8:900::/56"))},
			scenario{kind.String() + " with another DUID and IAID", web1(), asks(t, kind, "00010004fffe0102", id, na(4294967295, "2001:db8:1::10"))},
			scenario{kind.String() + " of an IA too many", web1(), asks(t, kind, clientID, id, na(1), na(2, "2001:db8:1::10", "2001:db8:9::1"))},
			scenario{kind.String() + " with nothing to give", bare(), asks(t, kind, clientID, id, na(1, "2001:db8:9::10"), ta(2), pd(3, "2001:db8:100::/56"))},
		)
	}
	golden(t, list)
}

// Every IA has its own answer in the order asked.
func TestSeveralIAs(t *testing.T) {
	golden(t, []scenario{
		{"the first of each kind", web1(), asks(t, solicit, clientID, na(5), na(6), pd(5), pd(6), ta(5))},
		{"the same IA twice", web1(), asks(t, solicit, clientID, na(5), na(5))},
		{"by IAID", planned(), asks(t, solicit, clientID, na(9), pd(2), na(2), na(8), na(1), pd(1), ta(1), ta(2))},
		{"by IAID, in another order", planned(), asks(t, request, clientID, serverID, na(1), na(9), pd(9), ta(3), na(2))},
		{"an IAID listed for addresses alone has the other prefixes", planned(), asks(t, solicit, clientID, na(1), pd(1))},
		{"a listed IAID twice", planned(), asks(t, renew, clientID, serverID, na(1, "2001:db8:1::20"), na(1, "2001:db8:1::20"))},
		{"another's address is not taken back", planned(), asks(t, renew, clientID, serverID, na(1, "2001:db8:1::21", "2001:db8:1::77"))},
	})
}

// IA_TA has no T1 and T2 and gets the temporary addresses alone.
func TestTemporary(t *testing.T) {
	golden(t, []scenario{
		{"temporary", planned(), asks(t, solicit, clientID, ta(1), na(7))},
		{"none", web1(), asks(t, solicit, clientID, ta(1), na(1))},
		{"renewed", planned(), asks(t, renew, clientID, serverID, ta(1, "2001:db8:1::99", "2001:db8:1::98"))},
	})
}

// CONFIRM: Success if every address is the NIC's, else NotOnLink.
func TestConfirm(t *testing.T) {
	golden(t, []scenario{
		{"its own", web1(), asks(t, confirm, clientID, na(1, "2001:db8:1::10"), na(2, "2001:db8:1::11"))},
		{"one that is no longer its own", web1(), asks(t, confirm, clientID, na(1, "2001:db8:1::10", "2001:db8:1::66"))},
		{"of another link", web1(), asks(t, confirm, clientID, ta(1, "2001:db8:2::10"))},
		{"no address", web1(), asks(t, confirm, clientID, na(1))},
		{"no IA", web1(), asks(t, confirm, clientID)},
		{"a prefix", web1(), asks(t, confirm, clientID, pd(1, "2001:db8:100::/56"))},
	})
}

// RELEASE and DECLINE: Success, NoBinding for what is not the NIC's, and the
// binding stays.
func TestReleaseAndDecline(t *testing.T) {
	var list []scenario
	for _, kind := range []messageType{release, decline} {
		name := kind.String()
		list = append(list,
			scenario{name + " of its own", web1(), asks(t, kind, clientID, serverID, na(1, "2001:db8:1::10"), pd(1, "2001:db8:100::/56"))},
			scenario{name + " of another's", web1(), asks(t, kind, clientID, serverID, na(1, "2001:db8:1::66"), na(2, "2001:db8:1::11"), pd(3, "2001:db8:101::/56"), ta(4, "2001:db8:1::98"))},
			scenario{name + " of an empty IA", web1(), asks(t, kind, clientID, serverID, na(1))},
			scenario{name + " of nothing", web1(), asks(t, kind, clientID, serverID)},
		)
	}
	list = append(list, scenario{"SOLICIT thereafter", web1(), asks(t, solicit, clientID, na(1))})
	golden(t, list)
}

// INFORMATION-REQUEST: configuration alone, also for nobody in particular.
func TestInformationRequest(t *testing.T) {
	stateless := everything()
	stateless.DHCP6.Mode = nic.DHCP6Stateless
	golden(t, []scenario{
		{"all there is", stateless, asks(t, informationRequest, clientID, askAll)},
		{"without client identifier", web1(), asks(t, informationRequest, oro(23, 24))},
		{"without option 6", web1(), asks(t, informationRequest, clientID)},
		{"with an empty option 6", web1(), asks(t, informationRequest, clientID, oro())},
		{"to this server", web1(), asks(t, informationRequest, clientID, serverID, oro(23))},
		{"refresh at least 600", changed(func(b *nic.Binding) { b.DHCP6.Refresh = 60 }), asks(t, informationRequest, clientID, oro(32))},
	})
}

// What clients send, with everything there is to tell them.
func TestClients(t *testing.T) {
	var list []scenario
	for _, c := range clientMessages(t) {
		b := everything()
		b.DHCP6.RapidCommit = true
		list = append(list, scenario{fmt.Sprintf("%s (%s) %s", c.client, c.how, c.kind), b, from(c.message)})
		o := Answer(server(b), from(c.message))
		if o.Request != c.kind || o.Reply == nil {
			t.Errorf("%s %s: read as %q, %s", c.client, c.kind, o.Request, o.Reason)
		}
	}
	if len(list) < 20 {
		t.Fatalf("%d messages", len(list))
	}
	golden(t, list)
}

// The answer depends on nothing but the question.
func TestRetransmissionGetsTheSameReply(t *testing.T) {
	for _, c := range clientMessages(t) {
		b := everything()
		b.DHCP6.BootArch = map[uint16]string{7: "a", 9: "b", 11: "c"}
		once := Answer(server(b), from(c.message))
		again := Answer(server(b), from(bytes.Clone(c.message)))
		if !bytes.Equal(once.Reply.Message, again.Reply.Message) {
			t.Errorf("%s %s: %x, then %x", c.client, c.kind, once.Reply.Message, again.Reply.Message)
		}
	}
}

// Elapsed time, classes, authentication and reconfigure accept change
// nothing.
func TestTheRestOfTheMessageChangesNothing(t *testing.T) {
	plain := Answer(server(web1()), asks(t, solicit, clientID, na(1)))
	for name, more := range map[string]string{
		"elapsed time":       "00080002ffff",
		"user class":         opt(15, "0004", text("iPXE")),
		"vendor class":       opt(16, "00000137", "0008", text("MSFT 5.0")),
		"vendor options":     opt(17, "00000137"),
		"reconfigure accept": "00140000",
		"authentication":     opt(11, strings.Repeat("00", 11)),
		"architecture":       opt(61, "0007"),
		"interface id":       opt(18, text("evil")),
		"remote id":          opt(37, "00000009", text("evil")),
	} {
		got := Answer(server(web1()), asks(t, solicit, clientID, na(1), more))
		if got.Reply == nil || !bytes.Equal(got.Reply.Message, plain.Reply.Message) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
