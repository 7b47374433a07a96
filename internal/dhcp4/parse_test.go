package dhcp4

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// edited is a DISCOVER with bytes replaced.
func edited(t *testing.T, offset int, value ...byte) Query {
	t.Helper()
	q := asks(t, packet{options: "350101"})
	copy(q.Message[offset:], value)
	return q
}

func TestHeaderIsChecked(t *testing.T) { // V4-01, G14
	for name, c := range map[string]struct {
		q    Query
		want reason.Reason
	}{
		"op 0":       {edited(t, 0, 0), reason.DHCPNotRequest},
		"BOOTREPLY":  {edited(t, 0, 2), reason.DHCPNotRequest},
		"htype 6":    {edited(t, 1, 6), reason.DHCPNotRequest},
		"htype 255":  {edited(t, 1, 255), reason.DHCPNotRequest},
		"hlen 0":     {edited(t, 2, 0), reason.DHCPNotRequest},
		"hlen 16":    {edited(t, 2, 16), reason.DHCPNotRequest},
		"hlen 255":   {edited(t, 2, 255), reason.DHCPNotRequest},
		"no cookie":  {edited(t, 236, 0, 0, 0, 0), reason.DHCPMalformed},
		"bad cookie": {edited(t, 239, 0x64), reason.DHCPMalformed},
	} {
		t.Run(name, func(t *testing.T) { check(t, silent("", "", c.want), Answer(server(web1()), c.q)) })
	}
}

func TestShortMessageIsMalformed(t *testing.T) {
	whole := asks(t, packet{options: "350101"})
	for n := range len(whole.Message) {
		q := whole
		q.Message = whole.Message[:n:n]
		got := Answer(server(web1()), q)
		if got.Reason != reason.DHCPMalformed || got.Reply != nil {
			t.Errorf("first %d bytes: %+v, want malformed", n, got)
		}
	}
}

// V4-25: a message with more than one meaning, or none, gets no answer. The
// options are given with their end, for some have none.
func TestMalformedOptions(t *testing.T) {
	for name, options := range map[string]string{
		"nothing after the cookie":   "",
		"pads only":                  "000000",
		"no end":                     "350101",
		"no end but pads":            "350101 000000",
		"code without length":        "350101 3d",
		"length without data":        "350101 3dfe00 1212121212", // G15, CVE-2019-6472
		"length one too long":        "350101 0c03 6161",
		"53 of no length":            "3500 ff",
		"53 of two bytes":            "35020101 ff",
		"53 twice":                   "350101 350101 ff",
		"53 twice and different":     "350101 350103 ff",
		"53 empty and 53":            "3500 350101 ff",
		"50 of three bytes":          "350101 3203c00002 ff",
		"50 of none":                 "350101 3200 ff",
		"50 twice":                   "350103 3204c000020a 3204c000020a ff",
		"51 of two bytes":            "350101 33020e10 ff",
		"54 of five bytes":           "350103 3605c000020100 ff",
		"57 of one byte":             "350101 3901ff ff",
		"80 with data":               "350101 500100 ff",
		"81 of two bytes":            "350101 51020000 ff",
		"93 of one byte":             "350101 5d0100 ff",
		"93 of none":                 "350101 5d00 ff",
		"overload 0":                 "350101 340100 ff",
		"overload 4":                 "350101 340104 ff",
		"overload of two bytes":      "350101 34020101 ff",
		"overload twice":             "350101 340101 340101 ff",
		"overload to an empty file":  "350101 340101 ff",
		"overload to an empty sname": "350101 340102 ff",
	} {
		t.Run(name, func(t *testing.T) {
			q := asks(t, packet{options: "350101"})
			q.Message = append(q.Message[:240], unhex(t, options)...)
			check(t, silent("", "", reason.DHCPMalformed), Answer(server(web1()), q))
		})
	}
}

func TestLawfulOptions(t *testing.T) {
	for name, options := range map[string]string{
		"pads between":          "00 350101 0000 37010c 00 ff",
		"anything after end":    "350101 37010c ff 3dfe00",
		"not first":             "37010c 350101 ff",
		"unknown code":          "350101 f00100 37010c ff",
		"empty unknown":         "350101 f000 37010c ff",
		"list in two instances": "350101 370100 37010c ff",
		"list with repetitions": "350101 37050c0c000cff ff",
	} {
		t.Run(name, func(t *testing.T) {
			q := asks(t, packet{options: "350101"})
			q.Message = append(q.Message[:240], unhex(t, options)...)
			wantOptions(t, isOffer+serverID+lease1d+hostname, Answer(server(quiet()), q))
		})
	}
}

// Several instances are one value, also across fields, in the order options,
// file, sname (RFC 3396 section 5; V4-21, V4-24).
func TestInstancesAreJoined(t *testing.T) {
	t.Run("in one field", func(t *testing.T) {
		q := asks(t, packet{options: "350103 3202c000 0c0161 3202020a"})
		want := granted("REQUEST", "ACK", packet{options: isAck + serverID + lease1d + basicSet})
		check(t, want(t), Answer(server(web1()), q))
	})
	t.Run("across fields", func(t *testing.T) {
		q := asks(t, packet{
			options: "350101 340103 37010c 3d02aabb",
			file:    "37010f 3d01cc ff", sname: "00 370106 3d01dd ff",
		})
		wantOptions(t, isOffer+serverID+lease1d+hostname+domain+dns+"3d04aabbccdd", Answer(server(quiet()), q))
	})
	t.Run("message type in file", func(t *testing.T) {
		q := asks(t, packet{options: "340101", file: "350101 37010c ff"})
		wantOptions(t, isOffer+serverID+lease1d+hostname, Answer(server(quiet()), q))
	})
	t.Run("message type in both", func(t *testing.T) {
		q := asks(t, packet{options: "350101 340101", file: "350101 ff"})
		check(t, silent("", "", reason.DHCPMalformed), Answer(server(quiet()), q))
	})
	t.Run("fields without overload are text", func(t *testing.T) {
		q := asks(t, packet{options: "350101 37010c", file: "37010f ff", sname: "350101 ff"})
		wantOptions(t, isOffer+serverID+lease1d+hostname, Answer(server(quiet()), q))
	})
	t.Run("overload in file is not followed", func(t *testing.T) {
		q := asks(t, packet{options: "350101 340101", file: "340102 37010c ff", sname: "37010f ff"})
		wantOptions(t, isOffer+serverID+lease1d+hostname, Answer(server(quiet()), q))
	})
	t.Run("no end in file", func(t *testing.T) {
		q := asks(t, packet{options: "350101 340101", file: strings.Repeat("00", 128)})
		check(t, silent("", "", reason.DHCPMalformed), Answer(server(quiet()), q))
	})
	t.Run("overrun from file into the cookie", func(t *testing.T) {
		q := asks(t, packet{options: "350101 340101", file: strings.Repeat("00", 126) + "0c04"})
		check(t, silent("", "", reason.DHCPMalformed), Answer(server(quiet()), q))
	})
}

func TestAnswerLeavesTheMessageAlone(t *testing.T) {
	q := asks(t, packet{options: "350103 3202c000 3202020a 3d02aabb 3d02ccdd 3703010306", flags: 0x8000})
	before := bytes.Clone(q.Message)
	Answer(server(web1()), q)
	if d := cmp.Diff(hex.Dump(before), hex.Dump(q.Message)); d != "" {
		t.Errorf("the client's message was changed (-before +after):\n%s", d)
	}
}

// A reply never shares memory with the message it answers, nor the binding.
func TestReplyOwnsItsBytes(t *testing.T) {
	b := changed(func(b *nic.Binding) { filled(224, 4)(b) })
	q := asks(t, packet{options: "350101 3701e0 3d02aabb"})
	got := Answer(server(b), q)
	before := bytes.Clone(got.Reply.Message)
	clear(q.Message)
	clear(b.DHCP4.Options[0].Data)
	if d := cmp.Diff(hex.Dump(before), hex.Dump(got.Reply.Message)); d != "" {
		t.Errorf("the reply changed (-before +after):\n%s", d)
	}
}
