package claims_test

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// kind is what was done to one address.
type kind int

const (
	claim   kind = iota // it was granted to the owner
	release             // the owner gave it back
	read                // the store says that it is the owner's, or nobody's
)

// step is one operation on one address. One that is not certain may have been
// made at any time since, or may never be.
type step struct {
	kind    kind
	address netip.Addr
	owner   string
	certain bool
}

func (s step) String() string {
	text := fmt.Sprintf("%s %s by %s", [...]string{"claim", "release", "read"}[s.kind], s.address, s.owner)
	if !s.certain {
		text += " (outcome unknown)"
	}
	return text
}

// history is what all clients have seen.
type history struct {
	begin time.Time
	mu    sync.Mutex
	steps []porcupine.Operation
}

func newHistory() *history { return &history{begin: time.Now()} }

func (h *history) now() int64 { return int64(time.Since(h.begin)) }

// add records a step that began at call and has ended now.
func (h *history) add(client int, call int64, s step) { h.addAt(client, call, h.now(), s) }

// addAt records a step that began at call and ended at end, or if its outcome
// is not known never does.
func (h *history) addAt(client int, call, end int64, s step) {
	if !s.certain {
		end = math.MaxInt64
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.steps = append(h.steps, porcupine.Operation{ClientId: client, Input: s, Call: call, Return: end})
}

// addresses are those of all steps.
func (h *history) addresses() []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []netip.Addr
	for _, op := range h.steps {
		out = append(out, op.Input.(step).address)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// oneAddress is the model: an address is nobody's or one owner's, only a free
// one is granted, and only its owner gives it back.
func oneAddress() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			owner, s := state.(string), input.(step)
			switch {
			case s.kind == read:
				return owner == s.owner, owner
			case s.kind == claim && owner == "":
				return true, s.owner
			case s.kind == release && owner == s.owner:
				return true, ""
			default:
				return !s.certain, owner
			}
		},
		DescribeOperation: func(input, _ any) string { return input.(step).String() },
	}
}

// check returns what no order of the steps explains, address by address.
func (h *history) check(limit time.Duration) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	parts := map[netip.Addr][]porcupine.Operation{}
	for _, op := range h.steps {
		a := op.Input.(step).address
		parts[a] = append(parts[a], op)
	}
	var wrong []string
	for a, ops := range parts {
		if result := porcupine.CheckOperationsTimeout(oneAddress(), ops, limit); result != porcupine.Ok {
			wrong = append(wrong, fmt.Sprintf("%s (%s):%s", a, result, told(ops)))
		}
	}
	return wrong
}

func told(ops []porcupine.Operation) string {
	var out strings.Builder
	for _, op := range ops {
		fmt.Fprintf(&out, "\n\t%v to %v: %s", time.Duration(op.Call), time.Duration(op.Return), op.Input)
	}
	return out.String()
}

// The checker finds what it is there for, and nothing else.
func TestChecker(t *testing.T) {
	a := netip.MustParseAddr("10.0.0.7")
	type at struct {
		call, end int64 // 0: never
		kind      kind
		owner     string
	}
	for name, c := range map[string]struct {
		steps []at
		sound bool
	}{
		"in turn":                      {[]at{{1, 2, claim, "x"}, {3, 4, release, "x"}, {5, 6, claim, "y"}, {7, 8, read, "y"}}, true},
		"at once":                      {[]at{{1, 9, claim, "x"}, {2, 8, release, "x"}, {3, 7, claim, "y"}, {10, 11, read, "y"}}, true},
		"granted twice":                {[]at{{1, 2, claim, "x"}, {3, 4, claim, "y"}, {5, 6, read, "y"}}, false},
		"granted twice, at once":       {[]at{{1, 9, claim, "x"}, {2, 8, claim, "y"}, {10, 11, read, "y"}}, false},
		"twice, and one given back":    {[]at{{1, 2, claim, "x"}, {3, 4, claim, "y"}, {5, 6, release, "x"}, {7, 8, read, "y"}}, false},
		"given back too late":          {[]at{{1, 2, claim, "x"}, {3, 4, claim, "y"}, {5, 6, release, "x"}}, false},
		"lost":                         {[]at{{1, 2, claim, "x"}, {3, 4, read, ""}}, false},
		"came back":                    {[]at{{1, 2, claim, "x"}, {3, 4, release, "x"}, {5, 6, read, "x"}}, false},
		"given back by another":        {[]at{{1, 2, claim, "x"}, {3, 4, release, "y"}}, false},
		"unknown, made":                {[]at{{1, 0, claim, "x"}, {3, 4, read, "x"}}, true},
		"unknown, not made":            {[]at{{1, 0, claim, "x"}, {3, 4, read, ""}}, true},
		"unknown, and another's since": {[]at{{1, 0, claim, "x"}, {3, 4, claim, "y"}, {5, 6, read, "y"}}, true},
		"unknown, made and lost":       {[]at{{1, 0, claim, "x"}, {3, 4, read, "x"}, {5, 6, read, ""}}, false},
		"release unknown, made":        {[]at{{1, 2, claim, "x"}, {3, 0, release, "x"}, {5, 6, claim, "y"}}, true},
		"release unknown, not made":    {[]at{{1, 2, claim, "x"}, {3, 0, release, "x"}, {5, 6, read, "x"}}, true},
		"release unknown, too late":    {[]at{{1, 2, claim, "x"}, {3, 4, claim, "y"}, {5, 0, release, "x"}}, false},
	} {
		h := newHistory()
		for _, s := range c.steps {
			h.addAt(0, s.call, s.end, step{s.kind, a, s.owner, s.end != 0})
			// Another address must not make up for it.
			h.addAt(0, s.call, s.end, step{s.kind, a.Next(), "fine", false})
		}
		wrong := h.check(time.Minute)
		if sound := len(wrong) == 0; sound != c.sound {
			t.Errorf("%s: sound is %t, want %t: %v", name, sound, c.sound, wrong)
		}
	}
}
