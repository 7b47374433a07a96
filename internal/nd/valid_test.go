package nd

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// RFC 4861 6.1.1, line by line.
func TestRouterSolicitationValidity(t *testing.T) {
	for name, c := range map[string]struct {
		valid  bool
		change func(*testing.T, *Solicitation)
	}{
		"as hosts send it":          {true, func(*testing.T, *Solicitation) {}},
		"hop limit 254":             {false, func(_ *testing.T, s *Solicitation) { s.HopLimit = 254 }},
		"hop limit 64":              {false, func(_ *testing.T, s *Solicitation) { s.HopLimit = 64 }},
		"hop limit 0":               {false, func(_ *testing.T, s *Solicitation) { s.HopLimit = 0 }},
		"code 1":                    {false, func(_ *testing.T, s *Solicitation) { s.Message[1] = 1 }},
		"checksum is not looked at": {true, func(_ *testing.T, s *Solicitation) { s.Message[2] = 0xad }},
		"reserved is not looked at": {true, func(_ *testing.T, s *Solicitation) { s.Message[7] = 0xff }},
		"7 bytes":                   {false, func(_ *testing.T, s *Solicitation) { s.Message = s.Message[:7] }},
		"8 bytes":                   {true, func(_ *testing.T, s *Solicitation) { s.Message = s.Message[:8] }},
		"option cut":                {false, func(_ *testing.T, s *Solicitation) { s.Message = s.Message[:15] }},
		"option of one byte":        {false, func(_ *testing.T, s *Solicitation) { s.Message = s.Message[:9] }},
		"option of length 0":        {false, options("0100525400aa0001")},
		"option over the end":       {false, options("0102525400aa0001")},
		"unknown option":            {true, options("fd01000000000000")},
		"second option bad":         {false, options("0101525400aa0001 fd00000000000000")},
		"nonce, then SLLA":          {true, options("0e01112233445566 0101525400aa0001")},
		"from :: without SLLA":      {true, fromUnspecified("")},
		"from :: with SLLA":         {false, fromUnspecified("0101525400aa0001")},
		"from :: with SLLA second":  {false, fromUnspecified("0e01112233445566 0101525400aa0001")},
		"from :: with a nonce":      {true, fromUnspecified("0e01112233445566")},
		"from a group":              {false, func(_ *testing.T, s *Solicitation) { s.Src = ip("ff02::1") }},
		"from IPv4":                 {false, func(_ *testing.T, s *Solicitation) { s.Src = ip("192.0.2.10") }},
		"to the router itself":      {true, func(_ *testing.T, s *Solicitation) { s.Dst = ip(gateway) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := rs(t)
			c.change(t, &s)
			o := Answer(router(), s, Withdrawn{})
			if want := (Outcome{Request: "RS", Reason: reason.NDInvalid}); !c.valid {
				if d := cmp.Diff(want, o, sameAddr()); d != "" {
					t.Errorf("outcome (-want +got):\n%s", d)
				}
			} else if o.Answer != "RA" || o.Reason != reason.None {
				t.Errorf("outcome %+v, want an answer", o)
			}
		})
	}
}

func options(list string) func(*testing.T, *Solicitation) {
	return func(t *testing.T, s *Solicitation) {
		fixed := map[byte]int{133: 8, 135: 24}[s.Message[0]]
		s.Message = append(s.Message[:fixed:fixed], unhex(t, list)...)
	}
}

func fromUnspecified(list string) func(*testing.T, *Solicitation) {
	return func(t *testing.T, s *Solicitation) {
		s.Src = ip("::")
		options(list)(t, s)
	}
}

// RFC 4861 7.1.1, line by line.
func TestNeighbourSolicitationValidity(t *testing.T) {
	for name, c := range map[string]struct {
		valid  bool
		change func(*testing.T, *Solicitation)
	}{
		"as hosts send it":          {true, func(*testing.T, *Solicitation) {}},
		"hop limit 254":             {false, func(_ *testing.T, s *Solicitation) { s.HopLimit = 254 }},
		"code 1":                    {false, func(_ *testing.T, s *Solicitation) { s.Message[1] = 1 }},
		"checksum is not looked at": {true, func(_ *testing.T, s *Solicitation) { s.Message[2] = 0xad }},
		"23 bytes":                  {false, func(_ *testing.T, s *Solicitation) { s.Message = s.Message[:23] }},
		"24 bytes":                  {true, func(_ *testing.T, s *Solicitation) { s.Message = s.Message[:24] }},
		"target is a group":         {false, func(_ *testing.T, s *Solicitation) { s.Message[8] = 0xff }},
		"option of length 0":        {false, options("0100525400aa0001")},
		"option over the end":       {false, options("0102525400aa0001")},
		"unknown option":            {true, options("fd01000000000000")},
		"unicast":                   {true, func(_ *testing.T, s *Solicitation) { s.Dst = ip(gateway) }},
		"unicast without SLLA": {true, func(_ *testing.T, s *Solicitation) {
			s.Dst, s.Message = ip(gateway), s.Message[:24]
		}},
		"from :: without SLLA":  {true, fromUnspecified("")},
		"from :: with SLLA":     {false, fromUnspecified("0101525400aa0001")},
		"from :: with a nonce":  {true, fromUnspecified("0e01112233445566")},
		"from :: to all nodes":  {false, func(_ *testing.T, s *Solicitation) { s.Src, s.Message, s.Dst = ip("::"), s.Message[:24], ip("ff02::1") }},
		"from :: by unicast":    {false, func(_ *testing.T, s *Solicitation) { s.Src, s.Message, s.Dst = ip("::"), s.Message[:24], ip(gateway) }},
		"from a group":          {false, func(_ *testing.T, s *Solicitation) { s.Src = ip("ff02::1") }},
		"of another host to it": {true, func(_ *testing.T, s *Solicitation) { s.Src = ip("2001:db8:1::10") }},
	} {
		t.Run(name, func(t *testing.T) {
			s := ns(t, gateway)
			c.change(t, &s)
			o := Answer(router(), s, Withdrawn{})
			if want := (Outcome{Request: "NS", Reason: reason.NDInvalid}); !c.valid {
				if d := cmp.Diff(want, o, sameAddr()); d != "" {
					t.Errorf("outcome (-want +got):\n%s", d)
				}
			} else if o.Answer != "NA" || o.Reason != reason.None {
				t.Errorf("outcome %+v, want an answer", o)
			}
		})
	}
}

func TestOtherMessagesAreIgnored(t *testing.T) {
	for _, kind := range []byte{0, 1, 128, 130, 134, 136, 137, 141, 255} {
		s := rs(t)
		s.Message[0] = kind
		if d := cmp.Diff(Outcome{Reason: reason.NDInvalid}, Answer(router(), s, Withdrawn{}), sameAddr()); d != "" {
			t.Errorf("type %d (-want +got):\n%s", kind, d)
		}
	}
	s := rs(t)
	s.Message = nil
	if o := Answer(router(), s, Withdrawn{}); o.Reason != reason.NDInvalid {
		t.Errorf("no message: %+v", o)
	}
}

// Every truncation of a solicitation is either whole or refused.
func TestTruncations(t *testing.T) {
	for n := range 33 {
		s := ns(t, gateway)
		if n > len(s.Message) {
			break
		}
		s.Message = s.Message[:n]
		o := Answer(Router{Binding: web1(), GatewayMAC: nic.MAC{2}}, s, Withdrawn{})
		if got, want := o.Reply != nil, n == 24 || n == 32; got != want {
			t.Errorf("%d bytes: answered %t, want %t", n, got, want)
		}
	}
}
