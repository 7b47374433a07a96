package lock

import (
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"

	"github.com/berth-net/berth/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var update = flag.Bool("update", false, "rewrite the golden files")

func TestNormal(t *testing.T) {
	got, err := Desired{
		Mark:     4,
		Names:    []string{"tap9", "eth0.100", "tap9", "a"},
		Patterns: []string{"vnet*", "fwpr-*", "vnet*"},
	}.Normal()
	if err != nil {
		t.Fatal(err)
	}
	want := Desired{Mark: 4, Names: []string{"a", "eth0.100", "tap9"}, Patterns: []string{"fwpr-*", "vnet*"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNormalRefuses(t *testing.T) {
	name := func(n string) Desired { return Desired{Mark: 1, Names: []string{"ok", n}} }
	pattern := func(p string) Desired { return Desired{Mark: 1, Patterns: []string{"ok*", p}} }
	for _, c := range []struct {
		d    Desired
		want string
	}{
		{Desired{}, `mark 0x0: want exactly one bit`},
		{Desired{Mark: 3}, `mark 0x3: want exactly one bit`},
		{name(""), `interface name "": empty`},
		{name("."), `interface name ".": not a name`},
		{name(".."), `interface name "..": not a name`},
		{name("abcdefghijklmnop"), `interface name "abcdefghijklmnop": longer than 15 bytes`},
		{name("tap*"), `interface name "tap*": byte '*' is not allowed`},
		{name("a b"), `interface name "a b": byte ' ' is not allowed`},
		{name("a\x00b"), `interface name "a\x00b": byte '\x00' is not allowed`},
		{name("../eth0"), `interface name "../eth0": byte '/' is not allowed`},
		{name(`a"b`), `interface name "a\"b": byte '"' is not allowed`},
		{pattern("tap"), `interface pattern "tap": want a prefix and a star`},
		{pattern("*"), `interface pattern "*": empty`},
		{pattern("t*p*"), `interface pattern "t*p*": byte '*' is not allowed`},
		{pattern("abcdefghijklmno*"), `interface pattern "abcdefghijklmno*": longer than 15 bytes`},
	} {
		_, err := c.d.Normal()
		if err == nil || err.Error() != c.want {
			t.Errorf("%+v: got error %v, want %s", c.d, err, c.want)
		}
		if _, err := c.d.Text(); err == nil {
			t.Errorf("%+v: Text prints what Normal refuses", c.d)
		}
	}
}

func sample() Desired {
	return Desired{Mark: DefaultMark, Names: []string{"tap7", "ens1"}, Patterns: []string{"vnet*", "tap*"}}
}

func TestTextGolden(t *testing.T) {
	got, err := sample().Text()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/lock.nft", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/lock.nft")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// say prints changes in one line each.
func say(changes []change) string {
	var b strings.Builder
	for _, c := range changes {
		b.WriteString(familyName(c.Table.Family) + ":")
		if c.Delete {
			b.WriteString(" delete")
		}
		if c.Create {
			b.WriteString(" create")
		}
		for _, ch := range c.Chains {
			b.WriteString(" rules(" + ch.Name + ")")
		}
		for _, n := range c.Add {
			b.WriteString(" +" + n)
		}
		for _, n := range c.Drop {
			b.WriteString(" -" + n)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func with(d Desired, edit func(*Desired)) Desired {
	d.Names, d.Patterns = slices.Clone(d.Names), slices.Clone(d.Patterns)
	edit(&d)
	return d
}

func TestDiff(t *testing.T) {
	base := Desired{Mark: 1, Names: []string{"a", "b"}, Patterns: []string{"t*"}}
	flawed := tables(base)
	flawed[1].Flaw = "dormant"
	for _, c := range []struct {
		what string
		have []table
		want Desired
		text string
	}{
		{"equal", tables(base), base, ""},
		{"nothing there", nil, base, "bridge: create +a +b\ninet: create +a +b\narp: create +a +b\n"},
		{"one table flawed", flawed, base, "inet: delete create +a +b\n"},
		{"one table gone", tables(base)[:2], base, "arp: create +a +b\n"},
		{
			"one name more", tables(base), with(base, func(d *Desired) { d.Names = []string{"a", "b", "c"} }),
			"bridge: +c\ninet: +c\narp: +c\n",
		},
		{
			"one name less", tables(base), with(base, func(d *Desired) { d.Names = []string{"b"} }),
			"bridge: -a\ninet: -a\narp: -a\n",
		},
		{
			"a name for another", tables(base), with(base, func(d *Desired) { d.Names = []string{"b", "c"} }),
			"bridge: +c\ninet: +c\narp: +c\nbridge: -a\ninet: -a\narp: -a\n",
		},
		{
			"a name that becomes a pattern: it leaves the set when the rules stand", tables(base),
			with(base, func(d *Desired) { d.Names, d.Patterns = []string{"b"}, []string{"a*", "t*"} }),
			"bridge: rules(prerouting) rules(input)\ninet: rules(prerouting)\narp: rules(input)\n",
		},
		{
			"another mark", tables(base), with(base, func(d *Desired) { d.Mark = 2 }),
			"bridge: rules(check) rules(prerouting)\ninet: rules(check)\narp: rules(check)\n",
		},
	} {
		if diff := cmp.Diff(c.text, say(diff(c.have, tables(c.want)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestDesiredIsTheInverse(t *testing.T) {
	want, err := sample().Normal()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []Desired{want, {Mark: 1}, {Mark: 1 << 31, Patterns: []string{"x*"}}} {
		got, err := desired(tables(d))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	if got, err := desired(nil); err != nil || got.Mark != 0 {
		t.Errorf("no tables: %+v, %v; want the zero Desired", got, err)
	}
}

func TestDesiredNamesTheDamage(t *testing.T) {
	for want, spoil := range map[string]func([]table) []table{
		"table bridge berth_lock is missing":                      func(ts []table) []table { return ts[1:] },
		"table arp berth_lock: sleeps":                            func(ts []table) []table { ts[2].Flaw = "sleeps"; return ts },
		"table inet berth_lock holds other names":                 func(ts []table) []table { ts[1].Names = []string{"x"}; return ts },
		"table bridge berth_lock: chain check has other rules":    func(ts []table) []table { ts[0].Chains[0].Rules = ts[0].Chains[0].Rules[1:]; return ts },
		"table inet berth_lock: chain prerouting has other rules": func(ts []table) []table { ts[1].Chains[1].Rules = nil; return ts },
		"table bridge berth_lock: chain input has other rules":    func(ts []table) []table { ts[0].Chains[2].Rules = ts[1].Chains[1].Rules; return ts },
		"table arp berth_lock: chain check has other rules": func(ts []table) []table {
			ts[2].Chains[0].Rules = tables(Desired{Mark: 2})[2].Chains[0].Rules
			return ts
		},
		"table bridge berth_lock: chain prerouting has other rules": func(ts []table) []table {
			ts[0].Chains[1].Rules = append(ts[0].Chains[1].Rules, clearMark(1))
			return ts
		},
	} {
		_, err := desired(spoil(tables(Desired{Mark: 1, Names: []string{"a"}, Patterns: []string{"t*"}})))
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// The exported constants are facts that other programs are built on.
func TestFamilies(t *testing.T) {
	got := map[string]nftables.TableFamily{}
	for _, tb := range tables(Desired{Mark: 1}) {
		got[title(tb.Family)] = tb.Family
	}
	want := map[string]nftables.TableFamily{"bridge berth_lock": 7, "inet berth_lock": 1, "arp berth_lock": 3}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
