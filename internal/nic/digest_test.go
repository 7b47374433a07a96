package nic

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// What differs only in where one string ends and the next begins differs.
func TestDigestTellsStringsApart(t *testing.T) {
	for name, pair := range map[string][2]Binding{
		"boot arguments": {{DHCP6: DHCP6{BootArgs: []string{"a b"}}}, {DHCP6: DHCP6{BootArgs: []string{"a", "b"}}}},
		"no argument":    {{DHCP6: DHCP6{BootArgs: []string{""}}}, {}},
		"tags":           {{Tags: map[string]string{"a": "1 b:2"}}, {Tags: map[string]string{"a": "1", "b": "2"}}},
		"search":         {{Search: []string{"a b"}}, {Search: []string{"a", "b"}}},
		"boot":           {{DHCP4: DHCP4{Boot: Boot{ServerName: "x File:y"}}}, {DHCP4: DHCP4{Boot: Boot{ServerName: "x", File: "y File:"}}}},
		"architectures":  {{DHCP6: DHCP6{BootArch: map[uint16]string{7: "u 9:v"}}}, {DHCP6: DHCP6{BootArch: map[uint16]string{7: "u", 9: "v"}}}},
	} {
		if pair[0].Digest() == pair[1].Digest() {
			t.Errorf("%s: one digest for both", name)
		}
	}
}

// Where a binding was declared is no part of what it means.
func TestDigestIgnoresTheOrigin(t *testing.T) {
	a, b := Binding{NIC: "tap7"}, Binding{NIC: "tap7", Origin: Origin{Source: "dir", File: "x", Line: 3}}
	if a.Digest() != b.Digest() {
		t.Error("the origin changes the digest")
	}
}

// Whatever is set in a binding changes its digest, and a new field of text is
// quoted like those before it.
func TestDigestSeesEveryField(t *testing.T) {
	var empty Binding
	leaves(reflect.TypeFor[Binding](), func(path string, set func(reflect.Value)) {
		if strings.HasPrefix(path, ".Origin") {
			return
		}
		var b Binding
		set(reflect.ValueOf(&b).Elem())
		if b.Digest() == empty.Digest() {
			t.Errorf("%s does not change the digest", path)
		}
		var text strings.Builder
		b.print(&text)
		if strings.Contains(text.String(), mark) && !strings.Contains(text.String(), strconv.Quote(mark)) {
			t.Errorf("%s is not quoted", path)
		}
	})
}

const mark = `some "text`

// leaves calls f for every value that a binding can hold, with a function that
// sets it, alone, in a binding.
func leaves(typ reflect.Type, f func(path string, set func(reflect.Value))) {
	if v, ok := sample(typ); ok {
		f("", func(at reflect.Value) { at.Set(v) })
		return
	}
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			field := typ.Field(i)
			leaves(field.Type, func(path string, set func(reflect.Value)) {
				f("."+field.Name+path, func(at reflect.Value) { set(at.Field(i)) })
			})
		}
	case reflect.Slice:
		leaves(typ.Elem(), func(path string, set func(reflect.Value)) {
			f("[]"+path, func(at reflect.Value) {
				at.Set(reflect.MakeSlice(typ, 1, 1))
				set(at.Index(0))
			})
		})
	case reflect.Map:
		leaves(typ.Elem(), func(path string, set func(reflect.Value)) {
			f("{}"+path, func(at reflect.Value) {
				value := reflect.New(typ.Elem()).Elem()
				set(value)
				key, _ := sample(typ.Key())
				at.Set(reflect.MakeMap(typ))
				at.SetMapIndex(key, value)
			})
		})
	default:
		panic(fmt.Sprintf("no sample of %s", typ))
	}
}

// sample returns a value other than zero of what has no parts.
func sample(typ reflect.Type) (v reflect.Value, ok bool) {
	v = reflect.New(typ).Elem()
	switch typ {
	case reflect.TypeFor[netip.Addr]():
		return reflect.ValueOf(netip.MustParseAddr("2001:db8::1")), true
	case reflect.TypeFor[netip.Prefix]():
		return reflect.ValueOf(netip.MustParsePrefix("2001:db8::/64")), true
	case reflect.TypeFor[MAC]():
		return reflect.ValueOf(MAC{2}), true
	}
	switch typ.Kind() {
	case reflect.String:
		v.SetString(mark)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(1)
	case reflect.Int:
		v.SetInt(1)
	default:
		return v, false
	}
	return v, true
}
