package agent

import (
	"maps"
	"slices"
	"testing"

	"github.com/berth-net/berth/internal/answerer"
	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func TestBookKeepsTheNewestAnswers(t *testing.T) {
	b := book{pages: map[int]*page{}}
	for i := range 10 {
		b.record(7, api.Answer{Request: "DISCOVER", Answer: "OFFER", XID: string(rune('a' + i))})
	}
	b.record(7, api.Answer{Request: "DISCOVER", Reason: reason.DHCPChaddr, XID: "z"})
	got, ignored := b.read(7)
	if got.Count["OFFER"] != 10 || ignored["dhcp-chaddr"] != 1 || len(got.Last) != keptAnswers {
		t.Errorf("counts %v, ignored %v, %d kept", got.Count, ignored, len(got.Last))
	}
	if got.Last[0].XID != "z" || got.Last[1].XID != "j" || got.Last[7].XID != "d" {
		t.Errorf("order %v", got.Last)
	}
	b.forget(7)
	if got, _ := b.read(7); len(got.Last) != 0 {
		t.Error("forgotten answers are still there")
	}
}

// What the kernel tells of a NIC comes a little later than it happens: then the NIC
// may be gone, and a new one may not have been shown yet.
func TestToldByKernel(t *testing.T) {
	const gone, fresh = 7, 8
	a := &Agent{EventLog: api.NewEventLog(10), answerer: answerer.New(nil, nil, nil), book: book{pages: map[int]*page{}}}
	a.view.Store(&view{})
	b := nic.Binding{NIC: "tap8"}
	a.answerer.Answer(fresh, b.NIC, answerer.Setting{Binding: &b, Digest: 1})
	for _, index := range []int{gone, fresh} {
		a.reportKernel(datapath.Exchange{Index: index, Kind: datapath.Kind{Request: "DISCOVER", Answer: "OFFER"}})
	}
	if len(a.book.pages) != 1 || a.book.pages[fresh] == nil {
		t.Errorf("pages of %v", slices.Collect(maps.Keys(a.book.pages)))
	}
	batch, err := a.After(t.Context(), 0, 10)
	if err != nil || len(batch.Events) != 1 || batch.Events[0].NIC != "tap8" {
		t.Errorf("events %+v, %v", batch.Events, err)
	}
}
