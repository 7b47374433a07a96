package dhcp6

import "encoding/binary"

// Option codes (RFC 8415 section 21 unless noted).
const (
	optClientID      = 1
	optServerID      = 2
	optIANA          = 3
	optIATA          = 4
	optIAAddr        = 5
	optORO           = 6
	optPreference    = 7
	optElapsedTime   = 8
	optRelayMessage  = 9
	optAuth          = 11
	optUnicast       = 12
	optStatusCode    = 13
	optRapidCommit   = 14
	optUserClass     = 15
	optInterfaceID   = 18
	optReconfMessage = 19
	optReconfAccept  = 20
	optDNS           = 23 // RFC 3646
	optSearch        = 24 // RFC 3646
	optIAPD          = 25
	optIAPrefix      = 26
	optSNTP          = 31 // RFC 4075
	optRefreshTime   = 32
	optClientFQDN    = 39 // RFC 4704
	optEchoRequest   = 43 // RFC 4994
	optNTP           = 56 // RFC 5908
	optBootURL       = 59 // RFC 5970
	optBootArgs      = 60 // RFC 5970
	optArch          = 61 // RFC 5970
	optSolMaxRT      = 82
	optInfMaxRT      = 83
	optCaptivePortal = 103 // RFC 8910

	optionHeader = 4
)

// statusCode is the value of option 13 (RFC 8415 21.13).
type statusCode uint16

const (
	success       statusCode = 0
	noAddrsAvail  statusCode = 2
	noBinding     statusCode = 3
	notOnLink     statusCode = 4
	useMulticast  statusCode = 5
	noPrefixAvail statusCode = 6
)

// option is one option of a reply.
type option struct {
	code uint16
	data []byte
}

func (o option) size() int { return optionHeader + len(o.data) }

func (o option) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, o.code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(o.data)))
	return append(b, o.data...)
}

func sizeOf(list []option) int {
	n := 0
	for _, o := range list {
		n += o.size()
	}
	return n
}

// option writes the status without a text: the code says it all, and the room
// is the client's.
func (s statusCode) option() option {
	return option{optStatusCode, binary.BigEndian.AppendUint16(nil, uint16(s))}
}

// walk hands every option of a list to f. It is false if a length lies or f
// refuses.
func walk(b []byte, f func(code uint16, data []byte) bool) bool {
	for len(b) > 0 {
		if len(b) < optionHeader {
			return false
		}
		n := optionHeader + int(binary.BigEndian.Uint16(b[2:]))
		if len(b) < n || !f(binary.BigEndian.Uint16(b), b[optionHeader:n]) {
			return false
		}
		b = b[n:]
	}
	return true
}

// wellFormed checks the lengths of a list nothing of which is used.
func wellFormed(b []byte) bool {
	return walk(b, func(uint16, []byte) bool { return true })
}

// lengthFits checks the singletons. Those of the identifiers are judged with
// the rules about them.
func lengthFits(code uint16, data []byte) bool {
	switch code {
	case optORO:
		return len(data)%2 == 0
	case optElapsedTime:
		return len(data) == 2
	case optRapidCommit, optReconfAccept:
		return len(data) == 0
	case optClientFQDN:
		return len(data) >= 1
	case optArch:
		return len(data) >= 2 && len(data)%2 == 0
	}
	return true
}

// codes reads the list of option 6, 43 or 61.
func codes(b []byte) []uint16 {
	list := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		list = append(list, binary.BigEndian.Uint16(b))
	}
	return list
}
