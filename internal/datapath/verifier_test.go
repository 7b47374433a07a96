package datapath

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/berth-net/berth/internal/testenv"
)

// The verifier gives up at a million instructions (BPF_COMPLEXITY_LIMIT_INSNS),
// and one kernel's takes several times another's to see the same. A quarter of
// that on each kernel tested leaves room for those that were not.
func TestKernelVerifier(t *testing.T) {
	testenv.NeedKernel(t, 5, 16, "the count of verified instructions")
	h := newHost(t)
	programs := map[string]*ebpf.Program{"from_guest": h.k.progs.FromGuest, "to_guest": h.k.progs.ToGuest}
	for why, p := range h.k.progs.answerers() {
		programs["answer to "+why.String()] = p
	}
	for name, p := range programs {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		n, ok := info.VerifiedInstructions()
		if !ok || n == 0 || n > 250_000 {
			t.Errorf("%s: %d instructions verified (%t), want at most 250,000", name, n, ok)
		}
		t.Logf("%s: %d instructions verified", name, n)
	}
}
