package agent

import (
	"testing"

	"github.com/berth-net/berth/internal/api"
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
