package pcap

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type appender interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func orders() []appender { return []appender{binary.LittleEndian, binary.BigEndian} }

const second = 1_767_323_045

// classic is a capture of two packets, the second of which is cut.
func classic(o appender, magic, link uint32) []byte {
	b := o.AppendUint32(nil, magic)
	b = o.AppendUint16(b, 2)
	b = o.AppendUint16(b, 4)
	for _, v := range []uint32{0, 0, 96, link, second, 7, 3, 3} {
		b = o.AppendUint32(b, v)
	}
	b = append(b, "abc"...)
	for _, v := range []uint32{second + 1, 8, 4, 1500} {
		b = o.AppendUint32(b, v)
	}
	return append(b, "defg"...)
}

func TestReadClassic(t *testing.T) {
	for _, o := range orders() {
		for magic, unit := range map[uint32]int64{magicMicro: 1000, magicNano: 1} {
			want := []Packet{
				{Time: second*1e9 + 7*unit, Length: 3, Data: []byte("abc")},
				{Time: (second+1)*1e9 + 8*unit, Length: 1500, Data: []byte("defg")},
			}
			got, err := Read(classic(o, magic, 1))
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s %x: %v (-want +got):\n%s", o, magic, err, diff)
			}
			if got[0].Cut() || !got[1].Cut() {
				t.Errorf("%s %x: cut %t and %t, want the second", o, magic, got[0].Cut(), got[1].Cut())
			}
		}
	}
}

// block is one of pcapng, padded.
func block(o appender, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	n := uint32(len(body) + blockFrame)
	b := o.AppendUint32(o.AppendUint32(nil, kind), n)
	return o.AppendUint32(append(b, body...), n)
}

func words(o appender, list ...uint32) []byte {
	var b []byte
	for _, v := range list {
		b = o.AppendUint32(b, v)
	}
	return b
}

func newSection(o appender) []byte {
	return block(o, magicSection, append(words(o, byteOrderMagic), 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
}

// describe is an interface of a link type and a time unit; 0: none is said.
func describe(o appender, link uint16, unit uint8) []byte {
	b := o.AppendUint16(nil, link)
	b = append(append(b, 0, 0), words(o, 96)...)
	if unit != 0 {
		b = o.AppendUint16(o.AppendUint16(b, optTimeUnit), 1)
		b = append(append(b, unit, 0, 0, 0), words(o, 0)...)
	}
	return block(o, blockInterface, b)
}

func enhanced(o appender, ifno uint32, ticks uint64, data string) []byte {
	return block(o, blockEnhanced, append(words(o, ifno, uint32(ticks>>32), uint32(ticks), uint32(len(data)), uint32(len(data))), data...))
}

func TestReadNG(t *testing.T) {
	var file []byte
	var want []Packet
	for _, o := range orders() { // one section after the other
		file = append(file, newSection(o)...)
		file = append(file, block(o, 0xbad, []byte("unknown!"))...)
		for i, u := range []struct {
			unit  uint8
			ticks uint64
			at    int64
		}{
			{0, second * 1e6, second * 1e9},
			{9, second * 1e9, second * 1e9},
			{3, second * 1e3, second * 1e9},
			{12, 5_000_999, 5000},
			{0x80 | 20, second << 20, second * 1e9},
		} {
			file = append(file, describe(o, 1, u.unit)...)
			file = append(file, enhanced(o, uint32(i), u.ticks, "abcde")...)
			want = append(want, Packet{Time: u.at, Length: 5, Data: []byte("abcde")})
		}
		file = append(file, block(o, blockSimple, append(words(o, 3), "xyz"...))...)
		file = append(file, block(o, blockSimple, append(words(o, 100), strings.Repeat("s", 96)...))...)
		want = append(want, Packet{Length: 3, Data: []byte("xyz")}, Packet{Length: 100, Data: bytes.Repeat([]byte("s"), 96)})
	}
	got, err := Read(file)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestReadRefuses(t *testing.T) {
	o := binary.LittleEndian
	whole := classic(o, magicMicro, 1)
	ng := append(newSection(o), describe(o, 1, 0)...)
	with := func(b []byte, more ...[]byte) []byte { return append(bytes.Clone(b), bytes.Join(more, nil)...) }
	for name, c := range map[string]struct {
		file    []byte
		packets int
		want    string
	}{
		"nothing":               {nil, 0, "neither pcap nor pcapng"},
		"text":                  {[]byte("nic: tap7\n"), 0, "neither pcap nor pcapng"},
		"header alone, cut":     {whole[:20], 0, "the file ends within its header"},
		"cooked":                {classic(o, magicMicro, 113), 0, "link type 113 (Linux cooked, of tcpdump -i any): only Ethernet is read"},
		"another":               {classic(o, magicMicro, 200), 0, "link type 200: only Ethernet is read"},
		"with a check sequence": {classic(o, magicMicro, 0x24000001), 0, "link type 603979777: only Ethernet is read"},
		"record cut":            {whole[:len(whole)-1], 1, "the file ends within packet 2"},
		"record header cut":     {whole[:50], 1, "the file ends within packet 2"},
		"block cut":             {with(ng, enhanced(o, 0, 1, "abc"), enhanced(o, 0, 1, "abc")[:20]), 1, "block 4: the file ends within it"},
		"block header cut":      {with(ng, []byte{6, 0}), 0, "block 3: the file ends within it"},
		"length that is none":   {with(ng, words(o, 6, 13, 0)), 0, "block 3: a length of 13"},
		"no byte order":         {words(o, magicSection, 28, 7, 0, 0, 0, 28), 0, "block 1: a section without a byte order"},
		"no interface":          {with(newSection(o), enhanced(o, 0, 1, "abc")), 0, "block 2: a packet of interface 0, which is not declared"},
		"cooked interface":      {with(newSection(o), describe(o, 276, 0), enhanced(o, 0, 1, "abc")), 0, "block 3: link type 276 (Linux cooked, of tcpdump -i any): only Ethernet is read"},
		"more than the block":   {with(ng, block(o, blockEnhanced, words(o, 0, 0, 0, 9, 9))), 0, "block 3: a block is shorter than what it must have"},
		"simple, too":           {with(ng, block(o, blockSimple, words(o, 9))), 0, "block 3: a block is shorter than what it must have"},
	} {
		got, err := Read(c.file)
		if err == nil || err.Error() != c.want || len(got) != c.packets {
			t.Errorf("%s: %d packets, %v; want %d, %s", name, len(got), err, c.packets, c.want)
		}
	}
}

func TestAppend(t *testing.T) {
	want := []Packet{{Time: second*1e9 + 5, Length: 4, Data: []byte("abcd")}, {Length: 100, Data: []byte("cut")}}
	got, err := Read(Append(nil, want...))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func FuzzRead(f *testing.F) {
	for _, o := range orders() {
		f.Add(classic(o, magicMicro, 1))
		f.Add(bytes.Join([][]byte{newSection(o), describe(o, 1, 9), enhanced(o, 0, 1, "abc"), block(o, blockSimple, words(o, 0))}, nil))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		packets, err := Read(file)
		total := 0
		for _, p := range packets {
			total += len(p.Data)
		}
		if total > len(file) {
			t.Fatalf("%d bytes of packets in a file of %d (%v)", total, len(file), err)
		}
	})
}
