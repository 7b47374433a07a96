package dhcp6

import (
	"encoding/binary"

	"github.com/berth-net/berth/internal/reason"
)

// headerLen is the message type and the transaction identifier (RFC 8415
// section 8).
const headerLen = 4

// messageType is the first byte of a message (RFC 8415 7.3).
type messageType uint8

const (
	solicit            messageType = 1
	advertise          messageType = 2
	request            messageType = 3
	confirm            messageType = 4
	renew              messageType = 5
	rebind             messageType = 6
	reply              messageType = 7
	release            messageType = 8
	decline            messageType = 9
	reconfigure        messageType = 10
	informationRequest messageType = 11
	relayForw          messageType = 12
	relayRepl          messageType = 13
)

// String names what RFC 8415 defines, "" for everything else: the name
// becomes a metric label, so the guest must not be able to choose it.
func (t messageType) String() string {
	names := [...]string{
		solicit: "SOLICIT", advertise: "ADVERTISE", request: "REQUEST", confirm: "CONFIRM",
		renew: "RENEW", rebind: "REBIND", reply: "REPLY", release: "RELEASE", decline: "DECLINE",
		reconfigure: "RECONFIGURE", informationRequest: "INFORMATION-REQUEST",
		relayForw: "RELAY-FORW", relayRepl: "RELAY-REPL",
	}
	if int(t) < len(names) {
		return names[t]
	}
	return ""
}

// fromClient reports whether clients send messages of this type.
func (t messageType) fromClient() bool {
	switch t {
	case solicit, request, confirm, renew, rebind, release, decline, informationRequest:
		return true
	default:
		return false
	}
}

// message is a client's message, read but not yet judged.
type message struct {
	kind    messageType
	xid     [3]byte
	options singles
	ias     []ia // in the client's order, at most maxIAs
}

// singles are the options that come at most once, by code; of all others only
// identity associations are kept.
type singles map[uint16][]byte

// parse reads a client's message. The reason says why it is none; what could
// be read up to there is returned all the same, for the log.
func parse(b []byte) (message, reason.Reason) {
	m := message{options: singles{}}
	if len(b) < headerLen {
		return m, reason.DHCPMalformed
	}
	m.kind = messageType(b[0])
	m.xid = [3]byte(b[1:headerLen])
	if !m.kind.fromClient() {
		return m, reason.DHCPType
	}
	if !walk(b[headerLen:], m.take) {
		return m, reason.DHCPMalformed
	}
	return m, reason.None
}

// take keeps what this server acts on. Unknown options are ignored (RFC 8415
// section 16).
func (m *message) take(code uint16, data []byte) bool {
	switch code {
	case optIANA, optIATA, optIAPD:
		return m.takeIA(code, data)
	case optClientID, optServerID, optORO, optElapsedTime, optAuth, optRapidCommit,
		optUserClass, optReconfAccept, optClientFQDN, optArch:
		return lengthFits(code, data) && m.options.add(code, data)
	}
	return true
}

// add keeps an option; false if it came before. Which of two would count is
// not defined, so such a message has no one meaning.
func (s singles) add(code uint16, data []byte) bool {
	_, again := s[code]
	s[code] = data
	return !again
}

func (m *message) xid32() uint32 {
	return binary.BigEndian.Uint32([]byte{0, m.xid[0], m.xid[1], m.xid[2]})
}
