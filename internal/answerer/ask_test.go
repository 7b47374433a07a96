package answerer_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/reason"
)

// keeper is a wire that keeps what was sent.
type keeper struct{ frames [][]byte }

func (k *keeper) Send(_ int, frame []byte) error {
	k.frames = append(k.frames, frame)
	return nil
}

// Ask answers what Punt does, byte for byte, also while a NIC is held; only
// Punt sends and reports.
func TestAskIsPuntWithoutConsequences(t *testing.T) {
	w := &keeper{}
	var said []answerer.Exchange
	a := answerer.New(w, duid(), func(x answerer.Exchange) { said = append(said, x) })
	packet := answerer.Packet{Reason: reason.DHCP4, Frame: discover(t)}
	if x, frame := a.Ask(77, packet); x.Reason != reason.NoBinding || frame != nil {
		t.Errorf("nobody there: %+v, %x", x, frame)
	}
	a.Answer(77, "tap7", setting(10, 1))
	asked, frame := a.Ask(77, packet)
	a.Hold(77)
	held, frame2 := a.Ask(77, packet)
	if len(w.frames)+len(said) > 0 {
		t.Fatalf("%d frames sent, %d exchanges reported, want none", len(w.frames), len(said))
	}
	a.Answer(77, "tap7", setting(10, 1))
	if len(w.frames) > 0 {
		t.Fatal("a question was held and answered")
	}
	a.Punt(77, packet)
	for _, x := range []answerer.Exchange{asked, held} {
		if diff := cmp.Diff(said, []answerer.Exchange{x}, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("exchange (-punt +ask):\n%s", diff)
		}
	}
	if diff := cmp.Diff([][]byte{w.frames[0], w.frames[0]}, [][]byte{frame, frame2}); diff != "" {
		t.Errorf("frame (-punt +ask):\n%s", diff)
	}
}

// What one NIC of a group sends in another's name is answered at that one.
func TestAskWithinAGroup(t *testing.T) {
	a := answerer.New(&keeper{}, duid(), func(answerer.Exchange) {})
	for index, last := range map[int]byte{77: 10, 78: 11} {
		s := setting(last, 1)
		b := *s.Binding
		b.Group = "vm"
		if index == 77 {
			b.MAC = corpus.B
		}
		s.Binding = &b
		a.Answer(index, "tap", s)
	}
	frame := discover(t) // of corpus.M, whose NIC is the other one
	copy(frame[6:], corpus.B[:])
	x, reply := a.Ask(77, answerer.Packet{Reason: reason.DHCP4, Frame: frame})
	if x.Index != 78 || x.Answer != "OFFER" || reply == nil {
		t.Errorf("%+v, %d bytes; want an OFFER at ifindex 78", x, len(reply))
	}
}
