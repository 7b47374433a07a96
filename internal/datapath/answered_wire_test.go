package datapath

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/plan"
	"github.com/berth-net/berth/internal/reason"
	"github.com/berth-net/berth/internal/testenv"
)

// On the wire, with nobody reading the rings: the guest gets its answers, the
// LAN hears nothing, and they are counted.
func TestDialogueOnTheWire(t *testing.T) {
	eachAttachment(t, func(h *host, index int, _ plan.Attach) {
		b := withoutLimits(func(*nic.Binding) {})
		a, id := compile4(h, b)
		define := define4(b, id)
		h.protect(index, guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: id}))
		h.do("answer", func() error { return h.k.Answer(index, a) })
		heard := testenv.Capture(h.TB, h.guest, "eth0", testenv.InboundOnly)
		for kind, frame := range dialogue4(b, askingClients()[2]) {
			want, x := define(frame)
			h.inject(frame)
			if x.Answer != "" {
				heard.Wait(patience, "the answer to "+kind, func(f testenv.Frame) bool { return bytes.Equal(f.Data, want) })
			}
		}
		h.holds("after the dialogue")
		h.lan.None("a client's message", func(f testenv.Frame) bool { return bytes.Contains(f.Data, []byte{0x63, 0x82, 0x53, 0x63}) })
		c, _, err := h.k.Counters(index)
		if err != nil {
			h.Fatal(err)
		}
		var sum uint64
		for _, n := range c.Exchanges {
			sum += n
		}
		if all := uint64(len(dialogue4(b, nil))); sum != all || c.Taken[reason.DHCP4] != all {
			h.Errorf("%d exchanges of %d counted, %v taken", sum, all, c.Taken)
		}
	})
}

// On the wire, while the filters are there beside the links that replace them.
func TestAnswersWhileHardening(t *testing.T) {
	h := newHostFor(t, plan.TCX)
	index := h.ns.Index("tapA")
	b := withoutLimits(func(*nic.Binding) {})
	a, id := compile4(h, b)
	h.protect(index, guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: id}))
	h.do("answer", func() error { return h.k.Answer(index, a) })
	h.do("hang the links beside the filters", func() error { return h.k.attachTCX(index) })
	heard := testenv.Capture(t, h.guest, "eth0", testenv.InboundOnly)
	frame := client4{kind: 1}.frame()
	want, _ := define4(b, id)(frame)
	h.inject(frame)
	heard.Wait(patience, "the answer", func(f testenv.Frame) bool { return bytes.Equal(f.Data, want) })
	h.holds("with both")
}

// While links replace filters no answer is lost, nor anything else on its way to
// the guest.
func TestHardeningLosesNothing(t *testing.T) {
	h := newHostFor(t, plan.TCX)
	index := h.ns.Index("tapA")
	b := withoutLimits(func(*nic.Binding) {})
	a, id := compile4(h, b)
	h.protect(index, guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: id}))
	h.do("answer", func() error { return h.k.Answer(index, a) })
	heard := testenv.Capture(t, h.guest, "eth0", testenv.InboundOnly)
	done, asked := make(chan struct{}), make(chan uint32)
	go func() {
		n := uint32(0)
		for ; ; n++ {
			select {
			case <-done:
				asked <- n
				return
			case <-time.After(time.Millisecond):
				h.inject(client4{kind: 1, change: func(m []byte) { binary.BigEndian.PutUint32(m[4:], n) }}.frame())
			}
		}
	}()
	for range 5 {
		h.do("harden", func() error { return h.k.Harden(index) })
		h.do("go back", func() error { return errors.Join(h.k.addFilters(index), h.k.dropLinks(index)) })
	}
	close(done)
	for n := range <-asked {
		heard.Wait(patience, fmt.Sprintf("the answer to question %d", n), func(f testenv.Frame) bool {
			return len(f.Data) > 50 && binary.BigEndian.Uint32(f.Data[46:]) == n
		})
	}
}

// On the wire: what has the mark of a reply and comes from elsewhere is none.
func TestReplyMarkIsNoPass(t *testing.T) {
	eachAttachment(t, func(h *host, index int, _ plan.Attach) {
		b := withoutLimits(func(*nic.Binding) {})
		h.protect(index, guard.Compile(b).On(b, guard.Site{Segment: 7, ServerID: corpus.G4}))
		h.ns.Sh(fmt.Sprintf(`nft add table netdev marks
			nft 'add chain netdev marks in { type filter hook ingress device lan0 priority 0; }'
			nft add rule netdev marks in meta mark set 0x%x`, ReplyMark))
		rogue, honest := vectorOf(h, "N01"), vectorOf(h, "N09")
		heard := testenv.Capture(h.TB, h.guest, "eth0", testenv.InboundOnly)
		testenv.Inject(h.TB, h.site, "eth0", rogue, honest)
		heard.Wait(patience, "an honest frame", func(f testenv.Frame) bool { return bytes.Equal(f.Data, honest) })
		heard.None("a foreign server's offer", func(f testenv.Frame) bool { return bytes.Equal(f.Data, rogue) })
	})
}
