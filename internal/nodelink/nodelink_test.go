package nodelink_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nodelink"
)

func document(t testing.TB, nic string, revision int64, body string) nodelink.Document {
	t.Helper()
	d, err := nodelink.NewDocument(nic, "the-"+nic, revision, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// full is everything, of node n1.
func full(generation int64, set ...nodelink.Document) *nodelink.Message {
	return &nodelink.Message{Site: "s", Node: "n1", Generation: generation, Full: true, Set: set, Count: len(set), Digest: nodelink.SumOf(set).String()}
}

// set is n documents.
func set(t testing.TB, n int) []nodelink.Document {
	var all []nodelink.Document
	for i := range n {
		all = append(all, document(t, fmt.Sprintf("tap%d", i), 1, `{"mac":1}`))
	}
	return all
}

func TestLinesKeepEveryByte(t *testing.T) {
	m := full(7, document(t, "tap0", 3, `{ "boot-url": "http://h/?a=1&b=<2>\u2028", "n": 1e3 }`))
	line, err := nodelink.Encode(m)
	if err != nil || strings.Count(string(line), "\n") != 1 {
		t.Fatalf("%q, %v", line, err)
	}
	got, err := nodelink.Decode[nodelink.Message](line)
	if diff := cmp.Diff(m, got); err != nil || diff != "" {
		t.Fatalf("%v (-sent +read)\n%s", err, diff)
	}
	if _, err := nodelink.NewMirror("n1").Apply(got); err != nil {
		t.Error(err)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		``:                        "malformed: EOF",
		`{"node":"n1","frull":1}`: `malformed: json: unknown field "frull"`,
		`{"node":1}`:              "malformed: json: cannot unmarshal number",
		`{"node":"n1"}{}`:         "malformed: something follows it",
		`{"node":"n1"`:            "malformed: unexpected EOF",
	} {
		_, err := nodelink.Decode[nodelink.Message]([]byte(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestMirrorFollows(t *testing.T) {
	m := nodelink.NewMirror("n1")
	a, b, c := document(t, "a", 1, `{}`), document(t, "b", 1, `{}`), document(t, "c", 4, `{}`)
	if _, err := m.Apply(full(3, a, b)); err != nil {
		t.Fatal(err)
	}
	b2 := document(t, "b", 5, `{"x":1}`)
	now := nodelink.SumOf([]nodelink.Document{b2, c}).String()
	got, err := m.Apply(&nodelink.Message{Site: "s", Node: "n1", Generation: 5, Set: []nodelink.Document{b2, c}, Gone: []string{"a"}, Count: 2, Digest: now})
	if diff := cmp.Diff(nodelink.Change{Set: []nodelink.Document{b2, c}, Gone: []string{"a"}}, got); err != nil || diff != "" {
		t.Fatalf("%v (-want +got)\n%s", err, diff)
	}
	want := nodelink.Position{Site: "s", Generation: 5, Count: 2, Digest: now}
	if diff := cmp.Diff(want, m.Position()); diff != "" {
		t.Error(diff)
	}
	// Everything again: only what differs is a change.
	got, err = m.Apply(full(6, a, b2))
	if diff := cmp.Diff(nodelink.Change{Set: []nodelink.Document{a}, Gone: []string{"c"}}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// Whatever is not obeyed leaves the mirror as it was.
func TestMirrorRefuses(t *testing.T) {
	had := set(t, 30)
	with := func(f func(*nodelink.Message)) *nodelink.Message {
		m := full(10, had...)
		f(m)
		return m
	}
	for name, c := range map[string]struct {
		msg  *nodelink.Message
		want string
	}{
		"another node":     {with(func(m *nodelink.Message) { m.Node = "n2" }), `a set of node "n2"`},
		"another site":     {with(func(m *nodelink.Message) { m.Site = "x" }), `a set of site "x"`},
		"an older one":     {with(func(m *nodelink.Message) { m.Generation = 8 }), "a set of generation 8; this node has 9"},
		"no generation":    {with(func(m *nodelink.Message) { m.Generation = 0 }), "a set of generation 0"},
		"a former epoch":   {with(func(m *nodelink.Message) { m.Epoch = -1 }), "a set of epoch -1"},
		"a wrong count":    {with(func(m *nodelink.Message) { m.Count++ }), "the count or the digest"},
		"a wrong digest":   {with(func(m *nodelink.Message) { m.Digest = "00" }), "the count or the digest"},
		"half as many":     {full(10, had[:14]...), "a set that takes away 16 of 30 NICs"},
		"none at all":      {full(10), "a set that takes away 30 of 30 NICs"},
		"one twice":        {full(10, had[0], had[0]), "document of NIC tap0: there are two"},
		"a body's digest":  {full(10, nodelink.Document{NIC: "a", Name: "a", Digest: "00"}), "document of NIC a: the digest"},
		"a path":           {full(10, nodelink.Document{NIC: "../a"}), `document "../a": no name`},
		"no name":          {full(10, nodelink.Document{NIC: "a"}), "document of NIC a: it has no name"},
		"gone, never had":  {with(func(m *nodelink.Message) { m.Full, m.Set, m.Gone = false, nil, []string{"zz"} }), nodelink.ErrGap.Error()},
		"a lost one":       {with(func(m *nodelink.Message) { m.Full, m.Set, m.Count = false, nil, 31 }), nodelink.ErrGap.Error()},
		"part of an epoch": {with(func(m *nodelink.Message) { m.Full, m.Set, m.Epoch = false, nil, 1 }), nodelink.ErrGap.Error()},
	} {
		m := nodelink.NewMirror("n1")
		if _, err := m.Apply(full(9, had...)); err != nil {
			t.Fatal(err)
		}
		before := m.Position()
		if _, err := m.Apply(c.msg); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if diff := cmp.Diff(before, m.Position()); diff != "" {
			t.Errorf("%s changed it:\n%s", name, diff)
		}
	}
}

// What would be refused goes through where somebody says so.
func TestMirrorObeysForce(t *testing.T) {
	had := set(t, 30)
	for name, f := range map[string]func(*nodelink.Message){
		"force":     func(m *nodelink.Message) { m.Force = true },
		"an epoch":  func(m *nodelink.Message) { m.Epoch = 1 },
		"backwards": func(m *nodelink.Message) { m.Epoch, m.Generation = 1, 2 },
	} {
		m := nodelink.NewMirror("n1")
		if _, err := m.Apply(full(9, had...)); err != nil {
			t.Fatal(err)
		}
		msg := full(10, had[0])
		f(msg)
		if c, err := m.Apply(msg); err != nil || len(c.Gone) != 29 {
			t.Errorf("%s: %v, %d gone", name, err, len(c.Gone))
		}
	}
	m := nodelink.NewMirror("n1")
	if _, err := m.Apply(full(9, had[:10]...)); err != nil {
		t.Fatal(err)
	}
	if c, err := m.Apply(full(10)); err != nil || len(c.Gone) != 10 {
		t.Errorf("the last ten: %v, %d gone", err, len(c.Gone))
	}
}

// A mirror that loses messages at random says so, and is right whenever it does
// not.
func TestMirrorNeverDrifts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	m, truth := nodelink.NewMirror("n1"), map[string]nodelink.Document{}
	gaps := 0
	for generation := int64(1); generation < 2000; generation++ {
		msg := step(t, r, truth, generation)
		if generation > 1 && r.IntN(10) == 0 {
			continue // lost
		}
		_, err := m.Apply(msg)
		if errors.Is(err, nodelink.ErrGap) {
			gaps++
			all := everything(generation, truth)
			all.Force = true
			_, err = m.Apply(all)
		}
		if err != nil {
			t.Fatal(err)
		}
		if all := everything(generation, truth); m.Position().Digest != all.Digest || m.Position().Count != all.Count {
			t.Fatalf("generation %d: at %+v", generation, m.Position())
		}
	}
	if gaps == 0 {
		t.Error("nothing was noticed")
	}
}

// step changes the truth and tells how.
func step(t *testing.T, r *rand.Rand, truth map[string]nodelink.Document, generation int64) *nodelink.Message {
	msg := &nodelink.Message{Node: "n1", Generation: generation, Full: generation == 1}
	name := fmt.Sprintf("tap%d", r.IntN(20))
	if _, ok := truth[name]; ok && r.IntN(3) == 0 {
		delete(truth, name)
		msg.Gone = []string{name}
	} else {
		truth[name] = document(t, name, generation, fmt.Sprintf(`{"n":%d}`, r.IntN(5)))
		msg.Set = []nodelink.Document{truth[name]}
	}
	all := everything(generation, truth)
	msg.Count, msg.Digest = all.Count, all.Digest
	return msg
}

func everything(generation int64, truth map[string]nodelink.Document) *nodelink.Message {
	msg := full(generation)
	msg.Site = ""
	var s nodelink.Sum
	for _, d := range truth {
		msg.Set = append(msg.Set, d)
		s.Toggle(d.Sum())
	}
	msg.Count, msg.Digest = len(truth), s.String()
	return msg
}

// Nothing that comes over the wire makes a mirror wrong or stops it.
func FuzzMirror(f *testing.F) {
	for _, m := range []*nodelink.Message{full(1), full(3, set(f, 2)...)} {
		line, err := nodelink.Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		msg, err := nodelink.Decode[nodelink.Message](line)
		if err != nil {
			return
		}
		m := nodelink.NewMirror("n1")
		if _, err := m.Apply(full(2, set(t, 3)...)); err != nil {
			t.Fatal(err)
		}
		before := m.Position()
		if _, err := m.Apply(msg); err != nil {
			if m.Position() != before {
				t.Fatalf("%v, and yet it went from %+v to %+v", err, before, m.Position())
			}
		} else if p := m.Position(); p.Digest != msg.Digest || p.Count != msg.Count || p.Generation != msg.Generation {
			t.Fatalf("at %+v after %+v", p, msg)
		}
	})
}
