package story_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

// mover is a VM that is on two nodes at once, as one is while it migrates: of
// the two only one runs.
type mover struct {
	source, target *guest
	atSource       *testenv.Sniffer // the LAN's port to each node: what the node sends is not Outgoing
	atTarget       *testenv.Sniffer
}

// newMover has a VM run on the first of two nodes, and its tap wait on the
// other.
func newMover(e *estate) *mover {
	e.t.Helper()
	n1, n2 := e.addNode("n1"), e.addNode("n2")
	m := &mover{source: e.addVM("vm", n1, "")}
	m.target = n2.plug("vm", e.granted("vm"))
	m.atSource, m.atTarget = testenv.Capture(e.t, e.lan, "n1"), testenv.Capture(e.t, e.lan, "n2")
	return m
}

// silent asserts that a guest neither gets frames to the LAN nor is answered
// while other, on the same LAN, does get frames there.
func silent(t *testing.T, g, other *guest, at *testenv.Sniffer) {
	t.Helper()
	ear := testenv.Capture(t, g.NS, "eth0")
	for _, q := range g.questions(t) {
		testenv.Inject(t, g.NS, "eth0", q.frame)
	}
	testenv.Inject(t, g.NS, "eth0", g.hello(g.addr, "from where it is not"))
	// By now whatever would answer has: the other one's frame crosses both nodes.
	testenv.Inject(t, other.NS, "eth0", other.hello(other.addr, "fence beside "+g.Name))
	at.Wait(5*time.Second, "the frame of the one that runs", carrying("fence beside "+g.Name))
	ear.None("an answer where nothing is in force", func(f testenv.Frame) bool { return !f.Outgoing && bytes.HasPrefix(f.Data, g.mac[:]) })
	at.None("a frame from where nothing is in force", carrying("from where it is not"))
}

// isGARP matches ARP that tells where an address is: sender and target are the
// same (RFC 5227 3).
func isGARP(of *guest) testenv.Filter {
	address := of.addr.AsSlice()
	return both(from(of.mac), func(f testenv.Frame) bool {
		return len(f.Data) >= 42 && f.Data[12] == 8 && f.Data[13] == 6 && bytes.Equal(f.Data[28:32], address) && bytes.Equal(f.Data[38:42], address)
	})
}

// sent matches, at the LAN's port to a node, what the node has sent.
func sent(match testenv.Filter) testenv.Filter {
	return func(f testenv.Frame) bool { return !f.Outgoing && match(f) }
}

// isUnsolicited matches a neighbour advertisement to all.
func isUnsolicited(of nic.MAC) testenv.Filter {
	return both(from(of), func(f testenv.Frame) bool {
		m, ok := icmpIn(f)
		return ok && m.Message[0] == 136 && m.Dst == allNodes()
	})
}

// contained asserts that neither node let DHCP of the VM out to the LAN.
func (m *mover) contained(t *testing.T) {
	t.Helper()
	for _, ear := range []*testenv.Sniffer{m.atSource, m.atTarget} {
		ear.None("DHCP", dhcpOf(m.source.mac))
		ear.None("DHCPv6", isDHCP6)
	}
}

// TestMigration: prepared on the target nothing passes there; activated, the
// target answers the same bytes as the source did and tells the LAN, and the
// source is silent (R131).
func TestMigration(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 1)
	m, r := newMover(e), e.replicas[0]
	other := e.addVM("other", e.members[0], "")
	before := m.source.answers(t)

	r.berth("migrate", "vm", "--to", "n2", "--prepare")
	m.source.toldTheSame(t, "it was prepared elsewhere", before)
	silent(t, m.target, other, m.atTarget)
	m.atTarget.None("an announcement before the activation", sent(isGARP(m.target)))

	r.berth("migrate", "vm", "--activate")
	m.target.toldTheSame(t, "it was activated on the target", before)
	m.atTarget.Wait(10*time.Second, "gratuitous ARP", sent(isGARP(m.target)))
	m.atTarget.Wait(10*time.Second, "an unsolicited neighbour advertisement", sent(isUnsolicited(m.target.mac)))
	silent(t, m.source, other, m.atTarget)
	m.atSource.None("an announcement from the source", sent(isGARP(m.source)))

	r.berth("migrate", "vm", "--complete")
	m.target.toldTheSame(t, "the migration was complete", before)
	silent(t, m.source, other, m.atTarget)
	fence(t, m.target, m.atTarget)
	m.contained(t)
}

// TestMigrationAborted: before and after its activation on the target a VM can
// return to its source, with all that it had.
func TestMigrationAborted(t *testing.T) {
	t.Parallel()
	e := newEstate(t, 1)
	m, r := newMover(e), e.replicas[0]
	other := e.addVM("other", e.members[1], "")
	before, granted := m.source.answers(t), e.granted("vm").Granted

	r.berth("migrate", "vm", "--to", "n2", "--prepare")
	r.berth("migrate", "vm", "--abort")
	m.source.toldTheSame(t, "it was aborted when it was prepared", before)
	silent(t, m.target, other, m.atTarget)

	r.berth("migrate", "vm", "--to", "n2", "--prepare")
	r.berth("migrate", "vm", "--activate")
	m.target.toldTheSame(t, "it was activated on the target", before)
	r.berth("migrate", "vm", "--abort")
	m.source.toldTheSame(t, "it returned", before)
	m.atSource.Wait(10*time.Second, "gratuitous ARP from the source", sent(isGARP(m.source)))
	silent(t, m.target, other, m.atTarget)
	m.contained(t)
	if now := e.granted("vm").Granted; !reflect.DeepEqual(now, granted) {
		t.Errorf("granted is %+v, was %+v", now, granted)
	}
}
