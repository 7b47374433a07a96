package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/reason"
)

// Every vector through every kind of port, both attachments, and a bridge that
// does and does not show frames to iptables.
func TestCorpusOnTheWire(t *testing.T) {
	for _, k := range []kind{veth, tap} {
		t.Run(string(k), func(t *testing.T) {
			s := newSite(t, k)
			s.openKernel()
			for _, tcx := range []bool{false, true} {
				index := s.attach(guard.Compile(corpus.Binding()), tcx)
				s.corpusRules = true
				for _, nf := range []bool{false, true} {
					s.bridgeNetfilter(nf)
					s.runCorpus(index, fmt.Sprintf("tcx %t, bridge-nf %t", tcx, nf))
				}
			}
		})
	}
}

func (s *site) runCorpus(index int, variant string) {
	s.Helper()
	start, n := time.Now(), 0
	s.fromGuest() // a clean frame before; teaches the bridge the guest's MAC
	for _, v := range corpus.All() {
		n += len(v.Frames)
		s.runVector(index, variant, &v)
	}
	s.Logf("%s: %d frames in %v", variant, n, time.Since(start).Round(time.Millisecond))
}

func (s *site) runVector(index int, variant string, v *corpus.Vector) {
	s.Helper()
	before, macs := s.counters(index), s.learned("tapA")
	run, want := s.fromGuest, s.expect(v)
	if v.ToGuest {
		run = s.toGuest
	}
	got := outcome{Arrived: run(v.Frames...)}
	got.Counters = moved(before, s.counters(index))
	got.Punted = s.handedUp(index, len(want.Punted))
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		s.Errorf("%s: %s %s (-want +got):\n%s", variant, v.ID, v.Case, diff)
	}
	if diff := cmp.Diff(macs, s.learned("tapA")); diff != "" {
		s.Errorf("%s: %s %s taught the bridge (-before +after):\n%s", variant, v.ID, v.Case, diff)
	}
}

// outcome is all that a vector may cause.
type outcome struct {
	Arrived  arrivals
	Counters datapath.Counters
	Punted   []handed
}

// handed is one frame of the guest under test that was handed up.
type handed struct {
	Reason reason.Reason
	Frame  []byte
}

// handedUp waits for n frames of a port and returns all that came.
func (s *site) handedUp(index, n int) []handed {
	s.Helper()
	var out []handed
	for _, p := range s.punts.take(s.TB, n) {
		if p.Index != index {
			s.Errorf("ifindex %d: handed up %x", p.Index, p.Frame)
		}
		out = append(out, handed{p.Reason, p.Frame})
	}
	return out
}

func (s *site) expect(v *corpus.Vector) outcome {
	s.Helper()
	o := noOutcome()
	for i, f := range v.Frames {
		if v.ToGuest {
			s.expectToGuest(&o, f, s.wanted(v, i))
		} else if reachesHook(f) {
			s.expectFromGuest(&o, f, s.wanted(v, i))
		}
	}
	// The end marker passes.
	if v.ToGuest {
		o.Counters.ToGuest++
	} else {
		o.Counters.FromGuest++
	}
	return o
}

func noOutcome() outcome {
	return outcome{Counters: datapath.Counters{
		Taken: map[reason.Reason]uint64{}, Dropped: map[reason.Reason]uint64{}, Audited: map[reason.Reason]uint64{},
	}}
}

func (o *outcome) audited(v guard.Verdict) {
	if v.Audited != reason.None {
		o.Counters.Audited[v.Audited]++
	}
}

func (s *site) expectFromGuest(o *outcome, f []byte, w guard.Verdict) {
	o.audited(w)
	switch w.Action {
	case guard.Drop:
		o.Counters.Dropped[w.Reason]++
	case guard.Take:
		o.Counters.Taken[w.Reason]++
		o.Punted = append(o.Punted, handed{w.Reason, f})
	case guard.Pass:
		o.Counters.FromGuest++
		f, ok := s.bridged(f)
		if !ok {
			return
		}
		o.Arrived.LAN, o.Arrived.VM = append(o.Arrived.LAN, f), append(o.Arrived.VM, f)
		if isGroup(f) {
			o.Arrived.Stack = append(o.Arrived.Stack, f)
		}
	}
}

// expectToGuest also expects what the unmanaged VM gets of the site's frames:
// all of them, be they for the managed guest or not.
func (s *site) expectToGuest(o *outcome, f []byte, w guard.Verdict) {
	f, ok := s.bridged(f)
	if !ok {
		return
	}
	o.audited(w)
	if s.flood || !bytes.Equal(f[:6], corpus.M[:]) { // else the bridge knows where M lives
		o.Arrived.VM = append(o.Arrived.VM, f)
	}
	if isGroup(f) {
		o.Arrived.Stack = append(o.Arrived.Stack, f)
	}
	if w.Action == guard.Drop {
		o.Counters.Dropped[w.Reason]++
		return
	}
	o.Counters.ToGuest++
	o.Arrived.Guest = append(o.Arrived.Guest, f)
}

// wanted is the verdict on a frame under the rules in force. Where those are
// the corpus's own it must be what the corpus says, but for the reason of a
// tagged frame: the kernel moves the outer tag into the frame's metadata
// first, so that one tag more can be looked behind.
func (s *site) wanted(v *corpus.Vector, i int) guard.Verdict {
	s.Helper()
	got, said := s.judge(v.ToGuest, v.Frames[i]), v.At(i)
	if !s.corpusRules || got.Action == said.Action && (got.Reason == said.Reason || isTagged(v.Frames[i])) {
		return got
	}
	s.Errorf("%s %s frame %d: the corpus wants %+v, the definition %+v", v.ID, v.Case, i, said, got)
	return guard.Verdict{Action: said.Action, Reason: said.Reason}
}

// judge is the definition's verdict on a frame as the hook sees it.
func (s *site) judge(toGuest bool, data []byte) guard.Verdict {
	f := guard.Frame{Data: data}
	if isTagged(data) && len(data) >= minTagged {
		f = guard.Frame{Data: bytes.Join([][]byte{data[:12], data[16:]}, nil), Tagged: true}
		if data[12] == 0x81 {
			f.VID = binary.BigEndian.Uint16(data[14:]) & 0xfff
		}
	}
	if toGuest {
		return guard.ToGuest(&s.rules, f)
	}
	return s.locals.Settle(tapA, &s.rules, guard.FromGuest(&s.rules, f))
}

// tapA is what the definition calls the NIC under test: no ifindex.
const tapA = -1

// minTagged is the shortest frame whose tag the kernel can move into the
// metadata: skb_vlan_untag wants the tag and two bytes behind it.
const minTagged = 20

// reachesHook says whether the kernel gets as far as tc with a frame: it
// throws away one whose tag is cut off.
func reachesHook(f []byte) bool { return !isTagged(f) || len(f) >= minTagged }

// isTagged reports the tags that the kernel moves into the metadata.
func isTagged(f []byte) bool {
	t := binary.BigEndian.Uint16(f[12:])
	return t == 0x8100 || t == 0x88a8
}

func isGroup(f []byte) bool { return f[0]&1 != 0 }

// forwarded is what any bridge refuses (br_handle_frame): a source that is a
// group or zero, and link control; BPDUs it floods where it runs no STP itself.
func forwarded(f []byte) bool {
	if f[6]&1 != 0 || bytes.Equal(f[6:12], make([]byte, 6)) {
		return false
	}
	control := bytes.Equal(f[:5], []byte{1, 0x80, 0xc2, 0, 0}) && f[5] < 16
	return !control || f[5] == 0
}
