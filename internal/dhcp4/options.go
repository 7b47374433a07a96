package dhcp4

import "slices"

// Option codes (RFC 2132 unless noted).
const (
	optPad             = 0
	optMask            = 1
	optRouter          = 3
	optDNS             = 6
	optHostname        = 12
	optDomain          = 15
	optMTU             = 26
	optBroadcast       = 28
	optNTP             = 42
	optRequestedIP     = 50
	optLease           = 51
	optOverload        = 52
	optMessageType     = 53
	optServerID        = 54
	optRequestList     = 55
	optMessage         = 56
	optMaxSize         = 57
	optT1              = 58
	optT2              = 59
	optVendorClass     = 60
	optClientID        = 61
	optServerName      = 66
	optBootFile        = 67
	optUserClass       = 77  // RFC 3004
	optRapidCommit     = 80  // RFC 4039
	optClientFQDN      = 81  // RFC 4702
	optRelayAgent      = 82  // RFC 3046
	optArch            = 93  // RFC 4578
	optV6Only          = 108 // RFC 8925
	optCaptivePortal   = 114 // RFC 8910
	optSearch          = 119 // RFC 3397
	optRoutes          = 121 // RFC 3442
	optMicrosoftRoutes = 249 // [MS-DHCPE] 2.2.8, the format of 121
	optEnd             = 255
)

// options are a client's options by code. Several instances of one are one
// value, joined in the order they came (RFC 3396 section 5).
type options map[uint8][]byte

// overload values of option 52.
const (
	overloadFile  = 1
	overloadSName = 2
)

// parseOptions walks the options field, then, as option 52 tells, file and
// sname, in this order (RFC 2131 4.1, RFC 3396 section 5). It is strict: an
// overrun, a field without an end option, a second message type or a known
// option of the wrong length makes the whole message malformed, because such
// a message has no one meaning.
func parseOptions(b []byte) (options, bool) {
	o := options{}
	if !o.walk(b[offOption:]) {
		return nil, false
	}
	overload := uint8(0)
	if v, ok := o[optOverload]; ok {
		if len(v) != 1 || v[0] < overloadFile || v[0] > overloadFile|overloadSName {
			return nil, false
		}
		overload = v[0]
	}
	if overload&overloadFile != 0 && !o.walk(b[offFile:offMagic]) {
		return nil, false
	}
	if overload&overloadSName != 0 && !o.walk(b[offSName:offFile]) {
		return nil, false
	}
	if !o.lengthsFit() {
		return nil, false
	}
	return o, true
}

// walk adds the options of one field, up to its end option. An option 52
// inside file or sname is read like any other and not followed, so a message
// cannot send the walk around twice.
func (o options) walk(field []byte) bool {
	for len(field) > 0 {
		switch code := field[0]; code {
		case optEnd:
			return true
		case optPad:
			field = field[1:]
		default:
			if len(field) < 2 || len(field) < 2+int(field[1]) {
				return false
			}
			n := 2 + int(field[1])
			if _, again := o[code]; again && code == optMessageType {
				return false
			}
			// Clip: joining must not write over the client's bytes.
			o[code] = append(slices.Clip(o[code]), field[2:n]...)
			field = field[n:]
		}
	}
	return false
}

// lengthsFit checks the options this server acts on.
func (o options) lengthsFit() bool {
	for code, v := range o {
		ok := true
		switch code {
		case optMessageType:
			ok = len(v) == 1
		case optRequestedIP, optLease, optServerID:
			ok = len(v) == 4
		case optMaxSize:
			ok = len(v) == 2
		case optRapidCommit:
			ok = len(v) == 0
		case optArch:
			ok = len(v) >= 2 && len(v)%2 == 0
		case optClientFQDN:
			ok = len(v) >= 3
		}
		if !ok {
			return false
		}
	}
	return true
}
