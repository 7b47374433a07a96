package story_test

import (
	"encoding/hex"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/berth-net/berth/internal/testenv"
)

// questions are what a guest asks, each with a transaction of its own: it
// boots, renews, and asks by DHCPv6.
func (g *guest) questions(t testing.TB) map[string]question {
	own := net.IP(g.addr.AsSlice())
	xid := func(last byte) dhcpv4.TransactionID { return dhcpv4.TransactionID{1, 2, 3, last} }
	ask := func(last byte, kind dhcpv4.MessageType, mods ...dhcpv4.Modifier) *dhcpv4.DHCPv4 {
		return g.request(t, kind, append(mods, dhcpv4.WithTransactionID(xid(last)))...)
	}
	return map[string]question{
		"discover": {g.broadcast(ask(1, dhcpv4.MessageTypeDiscover)), replyTo(xid(1))},
		"reboot":   {g.broadcast(ask(2, dhcpv4.MessageTypeRequest, dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(own)))), replyTo(xid(2))},
		"renew":    {g.unicast(ask(3, dhcpv4.MessageTypeRequest, dhcpv4.WithClientIP(own)), "192.0.2.1"), replyTo(xid(3))},
		"solicit":  {g.toServers(g.message6(1, 4)), told6(dhcpv6.TransactionID{0, 0, 4})},
	}
}

// told6 matches what a server says in one transaction.
func told6(xid dhcpv6.TransactionID) testenv.Filter {
	return func(f testenv.Frame) bool {
		m := dhcp6In(f)
		return m != nil && m.TransactionID == xid
	}
}

type question struct {
	frame  []byte
	answer testenv.Filter
}

// answers asks everything once and returns what came, in hex.
func (g *guest) answers(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for name, q := range g.questions(t) {
		ear := testenv.Capture(t, g.NS, "eth0")
		testenv.Inject(t, g.NS, "eth0", q.frame)
		f := ear.Wait(5*time.Second, "the answer to "+name, func(f testenv.Frame) bool { return !f.Outgoing && q.answer(f) })
		ear.None("a NAK", reply(g.mac, dhcpv4.MessageTypeNak))
		ear.Stop()
		all[name] = hex.EncodeToString(f.Data)
	}
	return all
}

// toldTheSame asserts that a guest is answered byte by byte as it was.
func (g *guest) toldTheSame(t testing.TB, when string, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, g.answers(t)); diff != "" {
		t.Errorf("%s is not answered as before %s (-before +now):\n%s", g.port, when, diff)
	}
}
