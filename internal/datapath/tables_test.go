package datapath

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/guard"
	"github.com/berth-net/berth/internal/guard/corpus"
	"github.com/berth-net/berth/internal/nic"
)

// TestSetNumbersEnd: they begin again behind the last, and no NIC is permitted
// what another's set of that number has.
func TestSetNumbersEnd(t *testing.T) {
	k := openKernel(t)
	put := func(index int, r guard.Rules) {
		t.Helper()
		if err := k.fill(index, "tap", &r); err != nil {
			t.Fatal(err)
		}
	}
	permits := func(index int, want guard.Rules) {
		t.Helper()
		got, ok, err := k.Rules(index)
		if err != nil || !ok || !slices.Equal(slices.SortedFunc(slices.Values(want.IP4), comparePrefix), slices.SortedFunc(slices.Values(got.IP4), comparePrefix)) {
			t.Errorf("NIC %d is permitted %d sources (%t, %v), want its own %d", index, len(got.IP4), ok, err, len(want.IP4))
		}
	}
	put(1, manySources(1))
	k.set = math.MaxUint32
	for index := 2; index < 5; index++ {
		put(index, manySources(byte(index)))
	}
	put(3, manySources(7))
	for index, generation := range map[int]byte{1: 1, 2: 2, 3: 7, 4: 4} {
		permits(index, manySources(generation))
	}
	if len(k.sets) != 4 {
		t.Errorf("%d sets in use, want 4", len(k.sets))
	}
}

func comparePrefix(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }

// TestRulesThatDoNotFit: what rules that could not be put in force had kept from
// others by then is nobody's again.
func TestRulesThatDoNotFit(t *testing.T) {
	for name, full := range map[string]func(*Kernel) *ebpf.Map{
		"shares": func(k *Kernel) *ebpf.Map { return k.maps.Shares },
		"locals": func(k *Kernel) *ebpf.Map { return k.maps.Locals },
	} {
		t.Run(name, func(t *testing.T) {
			k := openKernel(t)
			others := shareWith()
			if err := k.fill(2, "tap2", &others); err != nil {
				t.Fatal(err)
			}
			fillUp(t, full(k))
			before := keptNow(t, k)
			r := shareWith(corpus.X4)
			r.MACs = []nic.MAC{corpus.B}
			if err := k.fill(1, "tap1", &r); !errors.Is(err, unix.E2BIG) {
				t.Fatalf("put in force: %v, want no room", err)
			}
			after := keptNow(t, k)
			if text := differing(before, after); text != "" || len(before) != len(after) {
				t.Errorf("kept before %d, after %d: %s", len(before), len(after), text)
			}
		})
	}
}

// fillUp leaves a table room for nothing.
func fillUp(t *testing.T, m *ebpf.Map) {
	t.Helper()
	key, value := make([]byte, m.KeySize()), make([]byte, m.ValueSize())
	for n := uint32(0); ; n++ {
		key[0], key[1], key[2], key[3] = 0xff, byte(n>>16), byte(n>>8), byte(n)
		err := m.Update(key, value, ebpf.UpdateNoExist)
		if errors.Is(err, unix.E2BIG) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// keptNow are the link-locals that are kept or claimed.
func keptNow(t *testing.T, k *Kernel) map[berthLocalKey]berthLocal {
	t.Helper()
	all := map[berthLocalKey]berthLocal{}
	var key berthLocalKey
	var l berthLocal
	it := k.maps.Locals.Iterate()
	for it.Next(&key, &l) {
		all[key] = l
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func differing(before, after map[berthLocalKey]berthLocal) (text string) {
	for key, l := range after {
		if before[key] != l {
			text += fmt.Sprintf("%s %+v, was %+v; ", addr6Of(key.Addr), l, before[key])
		}
	}
	return text
}
