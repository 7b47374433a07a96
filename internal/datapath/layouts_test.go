package datapath

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

var update = flag.Bool("update", false, "describe older layouts anew, from their objects")

// object is the program of an older layout, as it was built.
func object(t testing.TB, layout string) *ebpf.CollectionSpec {
	t.Helper()
	spec, err := ebpf.LoadCollectionSpec("testdata/berth_" + layout + ".o")
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

// described are the structs of an object that its maps consist of.
func described(t testing.TB, spec *ebpf.CollectionSpec) []byte {
	t.Helper()
	var punt *btf.Struct
	if err := spec.Types.TypeByName("punt", &punt); err != nil {
		t.Fatal(err)
	}
	b, err := btf.NewBuilder([]btf.Type{punt}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{berthMapNics, berthMapStates, berthMapSets, berthMapSets6, berthMapLocals, berthMapShares} {
		for _, typ := range []btf.Type{spec.Maps[name].Key, spec.Maps[name].Value} {
			if _, err := b.Add(typ); err != nil {
				t.Fatal(err)
			}
		}
	}
	raw, err := b.Marshal(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What is embedded of an older layout is what its object says.
func TestLayoutsAreDescribed(t *testing.T) {
	for _, name := range older() {
		want := described(t, object(t, name))
		if *update {
			if err := os.WriteFile("layouts/"+name+".btf", want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := layouts.ReadFile("layouts/" + name + ".btf")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("layouts/%s.btf is not what testdata/berth_%s.o says; run with -update", name, name)
		}
	}
}

// Everything that an older layout holds has its place in this one.
func TestNothingIsLeftOut(t *testing.T) {
	for _, layout := range older() {
		shape, err := shapeOf(layout)
		if err != nil {
			t.Fatal(err)
		}
		now, err := loadBerth()
		if err != nil {
			t.Fatal(err)
		}
		for name, m := range object(t, layout).Maps {
			if s, ok := m.Value.(*btf.Struct); ok && now.Maps[name] != nil {
				leftOut(t, s, now.Maps[name].Value, shape)
			}
		}
	}
}

func leftOut(t *testing.T, old *btf.Struct, now btf.Type, shape *btf.Spec) {
	t.Helper()
	c, err := since(now, shape)
	if err != nil {
		t.Errorf("%s: %v", old.Name, err)
		return
	}
	for _, m := range old.Members {
		at := int(m.Offset.Bytes())
		has := false
		for _, r := range c.runs {
			has = has || r.from <= at && at < r.from+r.len
		}
		if !has && !strings.HasPrefix(m.Name, "pad") {
			t.Errorf("struct %s: %s is left out", old.Name, m.Name)
		}
	}
}

func integer(size uint32) *btf.Int { return &btf.Int{Name: "int", Size: size} }

// structure lays members out without padding.
func structure(members ...btf.Member) *btf.Struct {
	s := &btf.Struct{Name: "s", Members: members}
	for i := range members {
		n, _ := btf.Sizeof(members[i].Type)
		s.Members[i].Offset = btf.Bits(8 * s.Size)
		s.Size += uint32(n)
	}
	return s
}

func member(name string, typ btf.Type) btf.Member { return btf.Member{Name: name, Type: typ} }

func TestConversion(t *testing.T) {
	two := func(typ btf.Type, n uint32) *btf.Array { return &btf.Array{Index: integer(4), Type: typ, Nelems: n} }
	inner := structure(member("x", integer(1)), member("y", integer(1)))
	grown := structure(member("y", integer(1)), member("new", integer(2)), member("x", integer(1)))
	for _, c := range []struct {
		name     string
		from, to btf.Type
		in, want string
		refused  string
	}{
		{"the same", inner, inner, "ab", "ab", ""},
		{"other order, one more", inner, grown, "ab", "b\x00\x00a", ""},
		{"one less", grown, inner, "b..a", "ab", ""},
		{"a longer array", two(inner, 2), two(grown, 3), "abcd", "b\x00\x00ad\x00\x00c\x00\x00\x00\x00", ""},
		{"a shorter array", two(inner, 3), two(inner, 2), "", "", "3 elements became 2"},
		{"another size", structure(member("n", integer(4))), structure(member("n", integer(8))), "", "", "n: 4 bytes became 8"},
		{"another kind", structure(member("n", integer(2))), structure(member("n", inner)), "", "", "n: "},
		{"a bit field", structure(member("n", integer(4))), &btf.Struct{Size: 4, Members: []btf.Member{
			{Name: "n", Type: integer(4), BitfieldSize: 3},
		}}, "", "", "n is a bit field"},
		{"a union", &btf.Union{Size: 4}, &btf.Union{Size: 4}, "", "", "no way to copy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conv, err := convert(c.to, c.from)
			if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Fatalf("error %v, want %q", err, c.refused)
			}
			if err != nil {
				return
			}
			if got := string(conv.apply([]byte(c.in))); got != c.want {
				t.Errorf("%q became %q, want %q", c.in, got, c.want)
			}
		})
	}
}
