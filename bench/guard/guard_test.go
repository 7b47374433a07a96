package main

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/wire"
)

func TestPortsDiffer(t *testing.T) {
	seen := map[netip.Addr]bool{lanAddress(): true}
	for i := range 1000 {
		p := newPort(i)
		if seen[p.address] || !p.address.Is4() {
			t.Errorf("%s has %v, which another has", p.name, p.address)
		}
		seen[p.address] = true
		if len(p.name) > 15 || len(p.guestName()) > 15 {
			t.Errorf("%s, %s: too long for an interface", p.name, p.guestName())
		}
	}
}

func TestFrames(t *testing.T) {
	p := newPort(999)
	own := p.frame()
	u, err := wire.ParseUDP4(own)
	if err != nil || len(own) != 60 || u.EthSrc != p.mac || u.Src != p.address {
		t.Errorf("own frame: %d bytes, %+v, %v", len(own), u, err)
	}
	spoofed := p.spoofed()
	if u, err := wire.ParseUDP4(spoofed[0]); err != nil || u.EthSrc == p.mac || u.Src != p.address {
		t.Errorf("another's MAC: %+v, %v", u, err)
	}
	if u, err := wire.ParseUDP4(spoofed[1]); err != nil || u.EthSrc != p.mac || u.Src == p.address {
		t.Errorf("another's address: %+v, %v", u, err)
	}
	if a, err := wire.ParseARP(spoofed[2]); err != nil || a.SenderMAC != p.mac || a.SenderIP == p.address {
		t.Errorf("another's address in ARP: %+v, %v", a, err)
	}
}

// TestBetween: what JSON cannot say is not what a program that never ran took.
func TestBetween(t *testing.T) {
	at := func(runs uint64, took time.Duration) *ebpf.ProgramStats {
		return &ebpf.ProgramStats{RunCount: runs, Runtime: took}
	}
	if got := between("p", at(10, 100), at(14, 180)); got.Runs != 4 || got.Time != 20 {
		t.Errorf("4 runs in 80 ns: %+v", got)
	}
	if got := between("p", at(10, 100), at(10, 100)); got != (programTime{Program: "p"}) {
		t.Errorf("no run: %+v", got)
	}
}

// TestTexts holds every rule text to name both NICs and leave no gap. That nft
// and ebtables take it, and that it filters, each run proves before it measures.
func TestTexts(t *testing.T) {
	ports := []port{newPort(0), newPort(1)}
	for name, text := range map[string]func([]port) string{"linear": linear, "maps": maps, "clean": clean, "incus": incus} {
		got := text(ports)
		for _, p := range ports {
			if strings.Count(got, p.address.String()) == 0 || strings.Count(got, p.mac.String()) == 0 {
				t.Errorf("%s does not know %s:\n%s", name, p.name, got)
			}
		}
		for _, gap := range []string{"{nic}", "{mac}", "{ip}", "{hex}"} {
			if strings.Contains(got, gap) {
				t.Errorf("%s leaves %s:\n%s", name, gap, got)
			}
		}
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-nics", "1,1000", "-rounds", "5"})
	if err != nil || len(o.nics) != 2 || o.nics[1] != 1000 || o.rounds != 5 {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{{"-nics", "0"}, {"-nics", "1001"}, {"-nics", "1,x"}, {"-rounds", "0"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
}

// TestRatios holds a ratio to be against the sample of the same round: round 1
// is twice as slow for all.
func TestRatios(t *testing.T) {
	r := &results{}
	for round, speed := range []float64{100, 50} {
		s := sample{Measure: vethPackets, At: "last", NICs: 1, Round: round}
		s.Filter, s.Value = noFilter, speed
		r.add(s)
		s.Filter, s.Value = berthly, 0.9*speed
		r.add(s)
		s.NICs = 10 // another series
		r.add(s)
	}
	values, ratios := r.values(series{vethPackets, "last", 1, berthly}, rate)
	if len(values) != 2 || values[0] != 90 || values[1] != 45 {
		t.Errorf("values %v", values)
	}
	for _, ratio := range ratios {
		if math.Abs(ratio-0.9) > 1e-9 {
			t.Errorf("ratios %v", ratios)
		}
	}
	if text := r.markdown(); !strings.Contains(text, "| berth | 0.000 (0.000 to 0.000), -10.0 % |") {
		t.Errorf("the table lacks the ratio:\n%s", text)
	}
}
