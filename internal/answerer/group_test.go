package answerer_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// inGroup is a NIC of a group, with a MAC and an address of its own.
func inGroup(group string, last byte) answerer.Setting {
	s := setting(last, uint64(last))
	s.Binding.Group = group
	s.Binding.MAC[5] = last
	return s
}

// from is the corpus's DISCOVER, of one MAC by the NIC of another.
func from(t *testing.T, eth, chaddr nic.MAC) answerer.Packet {
	f := append([]byte(nil), discover(t)...)
	copy(f[6:], eth[:])
	copy(f[14+20+8+28:], chaddr[:])
	f[14+20+6], f[14+20+7] = 0, 0 // no UDP checksum
	return answerer.Packet{Reason: reason.DHCP4, Frame: f}
}

func offered(last byte, index uint16) string {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), index).String()
}

func TestAMessageByAnotherNICOfTheGroupIsAnsweredAtItsOwn(t *testing.T) {
	w := &wireTap{}
	var ignored []string
	a := answerer.New(w, duid(), func(x answerer.Exchange) {
		if x.Answer == "" {
			ignored = append(ignored, x.NIC+" "+x.Reason.String())
		}
	})
	one, two, stranger := inGroup("vm7", 11), inGroup("vm7", 12), inGroup("vm8", 13)
	a.Answer(71, "tap1", one)
	a.Answer(72, "tap2", two)
	a.Answer(73, "tap3", stranger)
	m1, m2, m3 := one.Binding.MAC, two.Binding.MAC, stranger.Binding.MAC

	a.Punt(72, from(t, m2, m1)) // by the second NIC, of the first
	a.Punt(72, from(t, m2, m2)) // its own
	a.Punt(72, from(t, m2, m3)) // of another group
	a.Punt(72, from(t, m1, m1)) // from a MAC that is not the second NIC's
	a.Hold(71)
	a.Punt(72, from(t, m2, m1)) // kept for the first
	a.Answer(71, "tap1", one)
	a.Drop(71)
	a.Punt(72, from(t, m2, m1)) // the first is gone
	want := []string{offered(11, 71), offered(12, 72), offered(11, 71)}
	if d := cmp.Diff(want, w.sent); d != "" {
		t.Errorf("sent: -want +got\n%s", d)
	}
	if d := cmp.Diff([]string{"tap2 dhcp-chaddr", "tap2 dhcp-chaddr", "tap2 dhcp-chaddr"}, ignored); d != "" {
		t.Errorf("ignored: -want +got\n%s", d)
	}
}

func TestANICThatLeavesItsGroupIsNotAnsweredThere(t *testing.T) {
	w := &wireTap{}
	a := answerer.New(w, duid(), func(answerer.Exchange) {})
	one, two := inGroup("vm7", 11), inGroup("vm7", 12)
	a.Answer(71, "tap1", one)
	a.Answer(72, "tap2", two)
	alone := inGroup("", 11)
	a.Answer(71, "tap1", alone)
	a.Punt(72, from(t, two.Binding.MAC, one.Binding.MAC))
	if len(w.sent) != 0 {
		t.Errorf("sent %v", w.sent)
	}
}

// What was kept for a NIC while its binding changed is another's, if it has
// left the group with that.
func TestAMessageKeptForANICThatLeavesItsGroupIsNotItsOwn(t *testing.T) {
	w := &wireTap{}
	var ignored []string
	a := answerer.New(w, duid(), func(x answerer.Exchange) { ignored = append(ignored, x.NIC+" "+x.Reason.String()) })
	one, two := inGroup("vm7", 11), inGroup("vm7", 12)
	a.Answer(71, "tap1", one)
	a.Answer(72, "tap2", two)
	a.Hold(71)
	a.Punt(72, from(t, two.Binding.MAC, one.Binding.MAC))
	a.Answer(71, "tap1", inGroup("vm9", 11))
	if d := cmp.Diff([]string{"tap1 dhcp-chaddr"}, ignored); d != "" || len(w.sent) != 0 {
		t.Errorf("sent %v, ignored: -want +got\n%s", w.sent, d)
	}
}
