package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/pcap"
	"github.com/berth-net/berth/internal/words"
)

// tracing is one command line of trace, and what comes of it.
type tracing struct {
	nic                string
	words              []string
	pcap, write        string
	fromGuest, toGuest bool

	frames []pcap.Packet
	unread error // what of the capture could not be read, behind the frames
	traced []api.Traced
}

func (a *app) traceCommand() *cobra.Command {
	var t tracing
	cmd := &cobra.Command{
		Use:   "trace NIC {FRAME... | --pcap FILE}",
		Short: "Show what would become of a frame, and what it would be answered",
		Long:  traceLong(),
		Example: `  berth trace tap7 dhcp discover
  berth trace tap7 ip 192.0.2.99 to 198.51.100.1
  berth trace tap7 --to-guest ra
  berth trace tap7 --pcap guest.pcap --write answers.pcap`,
		Args: func(_ *cobra.Command, args []string) error { return t.take(args) },
		RunE: func(cmd *cobra.Command, _ []string) error { return a.trace(cmd, &t) },

		ValidArgsFunction: a.completeNICs,
	}
	cmd.Flags().StringVar(&t.pcap, "pcap", "", `take the frames from this capture, pcap or pcapng, or from "-"`)
	cmd.Flags().StringVar(&t.write, "write", "", "write the frames and the answers to them into this file, as pcap")
	cmd.Flags().BoolVar(&t.fromGuest, "from-guest", false, "the guest sends the frames")
	cmd.Flags().BoolVar(&t.toGuest, "to-guest", false, "the frames are on their way to the guest")
	return withFormats(cmd, "text", "json", "yaml")
}

func traceLong() string {
	var b strings.Builder
	b.WriteString(`Show what the guard of a NIC, as it is in force, would do with a frame: whether it passes, for which reason it is dropped and what would have passed, or what it is answered, byte for byte, by the kernel or by berthd. Nothing is sent or counted, and neither guest nor site notices. What is behind the guard, such as the bridge and the site's firewall, is not asked.

A frame is said in words. The guest sends it, or with --to-guest its gateway; what is not said is the NIC's own:

`)
	for _, f := range words.Forms() {
		fmt.Fprintf(&b, "    %s\n        %s\n", f[0], f[1])
	}
	b.WriteString(`
A frame may begin with "from MAC" and "to MAC", for other Ethernet addresses.

The frames of a capture are the guest's if they bear a MAC of the NIC, and else on their way to it; --from-guest and --to-guest say so of all.`)
	return b.String()
}

// take checks the command line, before berthd is asked anything.
func (t *tracing) take(args []string) error {
	if len(args) == 0 {
		return usage("want the name of one NIC, and a frame")
	}
	t.nic, t.words = args[0], strings.Fields(strings.Join(args[1:], " "))
	switch {
	case t.fromGuest && t.toGuest:
		return usage("--from-guest and --to-guest exclude each other")
	case t.pcap != "" && len(t.words) > 0:
		return usage("want either a frame in words or --pcap, not both")
	case t.pcap != "":
		return nil
	}
	if err := words.Check(t.words); err != nil {
		return usage("%w", err)
	}
	return nil
}

func (a *app) trace(cmd *cobra.Command, t *tracing) error {
	format, err := a.format(cmd)
	if err != nil {
		return err
	}
	n, err := a.client().NIC(cmd.Context(), t.nic)
	if err != nil {
		return err
	}
	read := a.say
	if t.pcap != "" {
		read = a.readCapture
	}
	if err := read(cmd, t, n); err != nil {
		return err
	}
	if err := a.askAll(cmd, t, n); err != nil {
		return err
	}
	if t.write != "" {
		// A capture is nobody else's to read.
		if err := os.WriteFile(t.write, pcap.Append(nil, t.packets()...), 0o600); err != nil {
			return err
		}
	}
	if err := a.printTraced(format, t); err != nil {
		return err
	}
	return t.unread
}

// say makes the frame that is said in words.
func (a *app) say(cmd *cobra.Command, t *tracing, n api.NIC) error {
	who := speaker(n)
	if words.NamesServer(t.words) {
		var err error
		if who.ServerDUID, err = a.serverDUID(cmd, t.nic, who); err != nil {
			return err
		}
	}
	frame, err := words.Frame(who, t.toGuest, t.words)
	if err != nil {
		return &api.InvalidError{Detail: fmt.Sprintf("%s: %v", t.nic, err)}
	}
	t.frames = []pcap.Packet{{Time: a.now().UnixNano(), Length: len(frame), Data: frame}}
	return nil
}

// serverDUID learns of the server as a client does, by a SOLICIT; nil if that
// gets no answer.
func (a *app) serverDUID(cmd *cobra.Command, name string, who words.NIC) ([]byte, error) {
	solicit, err := words.Frame(who, false, []string{"dhcp6", "solicit"})
	if err != nil {
		return nil, err
	}
	traced, err := a.client().Trace(cmd.Context(), name, []api.Frame{{Bytes: solicit}})
	if err != nil || len(traced) != 1 || traced[0].Reply == nil {
		return nil, err
	}
	return words.ServerDUID(traced[0].Reply.Bytes), nil
}

// speaker is what a NIC's guest and its gateway would fill into their frames.
func speaker(n api.NIC) words.NIC {
	b, in := bindingOf(n), orZero(n.Installed)
	who := words.NIC{MAC: orZero(n.MAC), Prefixes: len(n.Delegated) > 0, ServerID: in.ServerID}
	// What cannot be read, such as "none", is not known.
	delivered, _, _ := strings.Cut(b.DHCP4.Address, "/")
	who.IP4, _ = netip.ParseAddr(delivered)
	who.Gateway, _ = netip.ParseAddr(b.Gateway)
	who.Gateway6, _ = netip.ParseAddr(b.Gateway6)
	who.GatewayMAC, _ = nic.ParseMAC(b.GatewayMAC)
	for _, p := range n.Addresses {
		switch {
		case p.Addr().Is4() && !who.IP4.IsValid():
			who.IP4 = p.Addr()
		case p.Addr().Is6() && !who.IP6.IsValid():
			who.IP6 = p.Addr()
		}
	}
	if len(in.LinkLocal) > 0 {
		who.LinkLocal = in.LinkLocal[0]
	}
	return who
}
