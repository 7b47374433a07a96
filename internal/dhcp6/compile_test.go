package dhcp6

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// What is compiled is told apart by kind of message as Answer tells it.
func TestCompileAdmits(t *testing.T) {
	for _, c := range []struct {
		name                string
		change              func(*nic.Binding)
		stateful, stateless bool
	}{
		{"both", func(*nic.Binding) {}, true, true},
		{"stateful", func(b *nic.Binding) { b.DHCP6.Mode = nic.DHCP6Stateful }, true, false},
		{"stateless", func(b *nic.Binding) { b.DHCP6.Mode = nic.DHCP6Stateless }, false, true},
		{"off", func(b *nic.Binding) { b.DHCP6.Mode = nic.DHCP6Off }, false, false},
		{"suspended", func(b *nic.Binding) { b.Suspended = true }, false, false},
		{"without IPv6", func(b *nic.Binding) { b.Addresses, b.Delegated = b.Addresses[:1], nil }, false, false},
		{"by the site", func(b *nic.Binding) { b.ServedBy = nic.ServedBySite }, false, false},
	} {
		got, ok := Compile(server(changed(c.change)))
		if got.Stateful != c.stateful || got.Stateless != c.stateless || ok != (c.stateful || c.stateless) {
			t.Errorf("%s: stateful %t, stateless %t, %t", c.name, got.Stateful, got.Stateless, ok)
		}
	}
	if _, ok := Compile(server(nil)); ok {
		t.Error("there is an answer without a binding")
	}
}

// A reply put together of what is compiled is the one that Answer gives.
func TestCompiledReply(t *testing.T) {
	for name, b := range map[string]*nic.Binding{"web1": web1(), "everything": everything(), "rapidly": changed(rapidly, unicasting)} {
		c, ok := Compile(server(b))
		if !ok {
			t.Fatalf("%s: nothing is compiled", name)
		}
		o := Answer(server(b), asks(t, request, clientID, serverID, na(1), pd(2), opt(39, "01"), oro(24, 23, 39)))
		want := o.Reply.Message
		got := message16(t, reply, clientID, text(string(c.Heads.Reply)),
			opt(3, "00000001", hex.EncodeToString(c.Addresses.Body)), opt(25, "00000002", hex.EncodeToString(c.Prefixes.Body)),
			text(string(c.Options[24])), text(string(c.Options[23])), text(string(c.FQDN[1])))
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", name, got, want)
		}
		if c.Addresses.First != o.Addresses[0] || len(c.Held) != len(o.Addresses) {
			t.Errorf("%s: %s first of %v, want %v", name, c.Addresses.First, c.Held, o.Addresses)
		}
	}
}

// A binding's own server identifier takes the place of the node's, byte for
// byte: in answers, in what is compiled, and in what is meant for this server.
func TestBindingsServerDUID(t *testing.T) {
	const theirs = "000300010262650000ff"
	named := changed(func(b *nic.Binding) { b.DHCP6.ServerDUID, _ = hex.DecodeString(theirs) })
	solicited := Answer(server(named), asks(t, solicit, clientID, na(1)))
	if head := message16(t, advertise, clientID, "0002000a"+theirs); !bytes.HasPrefix(solicited.Reply.Message, head) {
		t.Errorf("advertised %x, want it to begin with %x", solicited.Reply.Message, head)
	}
	if o := Answer(server(named), asks(t, request, clientID, "0002000a"+theirs, na(1))); o.Answer != "REPLY" {
		t.Errorf("to its own identifier: %q, %s", o.Answer, o.Reason)
	}
	if o := Answer(server(named), asks(t, request, clientID, serverID, na(1))); o.Reason != reason.DHCPOtherServer {
		t.Errorf("to the node's identifier: %q, %s", o.Answer, o.Reason)
	}
	c, _ := Compile(server(named))
	if want, err := hex.DecodeString("0002000a" + theirs); err != nil || !bytes.Equal(c.Heads.Inform, want) {
		t.Errorf("compiled %x, want %x", c.Heads.Inform, want)
	}
	if with, without := Size(named, 18), Size(web1(), 18); with != without-8 {
		t.Errorf("%d octets, and %d with the node's: want 8 less", with, without)
	}
}
