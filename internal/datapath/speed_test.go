package datapath

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/wire"
)

// BenchmarkPrograms says what a frame costs in each program, at best and less
// what the kernel needs to run a program that does nothing.
func BenchmarkPrograms(b *testing.B) {
	o := newOracle(b)
	binding := corpus.Binding()
	o.use(guard.Compile(binding).On(binding, guard.Site{Segment: 7, ServerID: corpus.G4}))
	nothing, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer nothing.Close()
	for _, c := range []struct {
		name string
		*ebpf.Program
		frame []byte
	}{
		{"from guest, UDP", o.k.progs.FromGuest, datagram(corpus.M, corpus.B, corpus.M4, corpus.B4)},
		{"from guest, UDP over IPv6", o.k.progs.FromGuest, corpus.From6(corpus.M6)},
		{"from guest, TCP", o.k.progs.FromGuest, segment(datagram(corpus.M, corpus.B, corpus.M4, corpus.B4))},
		{"from guest, ARP", o.k.progs.FromGuest, corpus.AskARP(corpus.M4, corpus.B4)},
		{"to guest, UDP", o.k.progs.ToGuest, datagram(corpus.B, corpus.M, corpus.B4, corpus.M4)},
	} {
		b.Run(c.name, func(b *testing.B) {
			took, empty := time.Hour, time.Hour
			for b.Loop() {
				took, empty = min(took, runs(b, c.Program, c.frame)), min(empty, runs(b, nothing, c.frame))
			}
			b.ReportMetric(float64((took-empty).Nanoseconds())/repeat, "ns/frame")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// repeat is short of a slice of the scheduler's, so that most of the time
// nobody else's comes in between.
const repeat = 5000

// runs is what many runs of a program take.
func runs(b *testing.B, p *ebpf.Program, frame []byte) time.Duration {
	b.Helper()
	opts := ebpf.RunOptions{Data: frame, Repeat: repeat}
	start := time.Now()
	ret, err := p.Run(&opts)
	if err != nil || int32(ret) != -1 {
		b.Fatalf("verdict %d, %v; want it to pass", int32(ret), err)
	}
	return time.Since(start)
}

func datagram(src, dst nic.MAC, from, to netip.Addr) []byte {
	return wire.AppendUDP4(nil, wire.UDP4{
		EthSrc: src, EthDst: dst, Src: from, Dst: to, SrcPort: 40000, DstPort: 9, Payload: make([]byte, 18),
	})
}

// segment makes a datagram a TCP segment; nobody looks at its header.
func segment(f []byte) []byte {
	f[14+9] = 6
	binary.BigEndian.PutUint16(f[14+10:], 0)
	return f
}
