package agent

import (
	"testing"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/reason"
)

func TestDescribe(t *testing.T) {
	want := map[string]string{
		"A02": "52:54:00:ff:00:01 to 52:54:00:bb:00:02, IPv4 192.0.2.10 to 192.0.2.20 protocol 17 port 40000 to 40001",
		"B01": "52:54:00:aa:00:01 to 52:54:00:ff:00:01, IPv4 192.0.2.20 to 192.0.2.1 protocol 17 port 40000 to 40001",
		"C01": "52:54:00:aa:00:01 to 52:54:00:bb:00:02, ARP 192.0.2.1 is at 52:54:00:aa:00:01",
		"K04": "52:54:00:aa:00:01 to 01:80:c2:00:00:0e, type 0x88cc",
	}
	for _, v := range corpus.All() {
		if w, ok := want[v.ID]; ok {
			if got := describe(v.Frames[0]); got != w {
				t.Errorf("%s: %q, want %q", v.ID, got, w)
			}
			delete(want, v.ID)
		}
		for n := range min(len(v.Frames[0]), 60) {
			_ = describe(v.Frames[0][:n]) // whatever is cut off, it must not panic
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the corpus: %v", want)
	}
}

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
