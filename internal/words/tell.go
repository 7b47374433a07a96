// Package words has frames in words: Tell says what a frame is, and Frame makes
// one of a few words, as its NIC would send it.
//
// Not here: whether a frame may pass (guard), and what it is answered (dhcp4,
// dhcp6, nd, arp). What is read here decides nothing.
package words

import (
	"fmt"
	"strings"

	"github.com/berth-net/berth/internal/wire"
)

// Told is a frame in words. What a guest chose freely, such as a name, is
// quoted, in ASCII.
type Told struct {
	Text    string   // one line
	Details []string // what the message says, "router (3): 192.0.2.1"
}

// Tell says what a whole frame is.
func Tell(frame []byte) Told {
	t := Told{Text: Line(frame)}
	if u, err := wire.ParseUDP4(frame); err == nil && isPort(u.DstPort, 67, 68) {
		t.dhcp4(u.Payload)
	} else if u, err := wire.ParseUDP6(frame); err == nil && isPort(u.DstPort, 546, 547) {
		t.dhcp6(u.Payload)
	} else if m, err := wire.ParseICMP6(frame); err == nil {
		t.nd(m.Message)
	} else if a, err := wire.ParseARP(frame); err == nil {
		t.arp(a)
	}
	return t
}

func isPort(p, a, b uint16) bool { return p == a || p == b }

func (t *Told) add(format string, args ...any) {
	t.Details = append(t.Details, fmt.Sprintf(format, args...))
}

// option adds one option by its name; under another one it is indented.
func (t *Told) option(depth int, name string, code int, value string) {
	line := fmt.Sprintf("%s%s (%d)", strings.Repeat("  ", depth), name, code)
	if value != "" {
		line += ": " + value
	}
	t.Details = append(t.Details, line)
}

func (t *Told) arp(a wire.ARP) {
	switch a.Op {
	case 1:
		t.Text += fmt.Sprintf(", request for %s", a.TargetIP)
	case 2:
		t.Text += fmt.Sprintf(", reply to %s", a.TargetIP)
	default:
		t.Text += fmt.Sprintf(", operation %d", a.Op)
	}
}
