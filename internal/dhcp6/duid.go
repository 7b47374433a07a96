package dhcp6

import (
	"bytes"
	"encoding/binary"
)

// Lengths of a DUID: a type and 1 to 128 bytes (RFC 8415 11.1).
const (
	minDUID = 2 + 1
	maxDUID = 2 + 128
)

const (
	duidLLT   = 1
	lltTimeAt = 4 // type, hardware type
	lltAddrAt = 8
)

// identifier is the server's, in every reply: the binding's, else the node's.
func (s Server) identifier() []byte {
	if id := s.Binding.DHCP6.ServerDUID; len(id) > 0 {
		return id
	}
	return s.DUID
}

// sameDUID reports whether a client's DUID is the one a binding names. The
// time in a DUID-LLT (11.2) is that of its making: a reinstalled guest has
// another one. DUIDs of all other types are opaque.
func sameDUID(a, b []byte) bool {
	if isLLT(a) && isLLT(b) {
		return bytes.Equal(a[:lltTimeAt], b[:lltTimeAt]) && bytes.Equal(a[lltAddrAt:], b[lltAddrAt:])
	}
	return bytes.Equal(a, b)
}

func isLLT(d []byte) bool {
	return len(d) > lltAddrAt && binary.BigEndian.Uint16(d) == duidLLT
}
