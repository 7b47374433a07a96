package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

func (a *app) showCommand() *cobra.Command {
	return withFormats(&cobra.Command{
		Use:   "show NIC",
		Short: "Show everything known about one NIC",
		Long: `Show what was declared for a NIC, what the kernel holds for it, whether the two are equal, what it was answered last, and what was dropped and why.

The whole binding, with its defaults filled in, is in -o yaml and -o json.`,
		Args:              oneNIC,
		ValidArgsFunction: a.completeNICs,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := a.format(cmd)
			if err != nil {
				return err
			}
			n, err := a.client().NIC(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if format != "text" {
				return a.structured(format, n)
			}
			return a.show(n)
		},
	}, "text", "json", "yaml")
}

// show writes one screen, a paragraph for each part.
func (a *app) show(n api.NIC) error {
	fmt.Fprintf(a.stdout, "%s  %s  since %s (%s)\n", printable(n.Name), a.stateWord(n.State), stamp(n.Since), age(a.now().Sub(n.Since)))
	if why := whyText(n); why != "" {
		fmt.Fprintf(a.stdout, "why  %s\n", why)
	}
	if n.Hook != "" {
		fmt.Fprintf(a.stdout, "hook  %s\n", printable(n.Hook))
	}
	w := newTable(a.stdout)
	showDeclared(w, n)
	a.showShared(w, n.Shared)
	showLink(w, n.Link)
	showInstalled(w, n)
	if err := w.Flush(); err != nil {
		return err
	}
	showAnswers(a.stdout, n.Answers)
	showCounters(a.stdout, n.Counters)
	return nil
}

// showShared says who holds what the NIC shares with others.
func (a *app) showShared(w io.Writer, all []api.Shared) {
	for _, s := range all {
		held := "held by nobody yet"
		if s.Holder != "" && s.Seen != nil {
			held = fmt.Sprintf("held by %s, announced %s ago", printable(s.Holder), age(a.now().Sub(*s.Seen)))
		}
		row(w, "  shared", fmt.Sprintf("%s, group %s, %s", s.Address, printable(s.Group), held))
	}
}

func whyText(n api.NIC) string {
	text := cmp.Or(n.Why, n.Reason.Text())
	if n.Reason == reason.None {
		return printable(text)
	}
	return fmt.Sprintf("%s: %s", n.Reason, printable(text))
}

func showLink(w io.Writer, l *api.Link) {
	if l == nil {
		row(w, "\nlink", "none")
		return
	}
	row(w, "\nlink", fmt.Sprintf("ifindex %d, %s, %s", l.Index, orDash(l.Kind), orDash(l.OperState)))
	row(w, "  host mac", orDash(l.MAC))
	row(w, "  bridge", orDash(l.Bridge))
}

func showInstalled(w io.Writer, n api.NIC) {
	in := n.Installed
	if in == nil {
		row(w, "\ninstalled", "nothing")
		return
	}
	row(w, "\ninstalled", fmt.Sprintf("%s, %s", orDash(in.Attach), orDash(in.Mode)))
	row(w, "  in force", yesNo(in.InForce, "it differs from what is declared"))
	row(w, "  answering", yesNo(in.Answering, "nothing is answered"))
	listRow(w, "  macs", in.MACs)
	listRow(w, "  sources", in.Sources)
	showLinkLocals(w, n)
	if in.ServerID.IsValid() && hasIPv4(n) {
		row(w, "  server id", in.ServerID.String())
	}
	listRowIfAny(w, "  host routes", in.Routes)
}

func yesNo(yes bool, no string) string {
	if yes {
		return "yes"
	}
	return "no: " + no
}

func showAnswers(out io.Writer, answers *api.Answers) {
	if answers == nil {
		return
	}
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(answers.Count)) {
		counts = append(counts, fmt.Sprintf("%s %d", printable(name), answers.Count[name]))
	}
	fmt.Fprintf(out, "\nanswers  %s\n", cmp.Or(strings.Join(counts, ", "), "none"))
	w := newTable(out)
	for _, x := range answers.Last {
		row(w, "  "+stamp(x.Time), orDash(x.Request), cmp.Or(printable(x.Answer), "(silence)"), addresses(x), xid(x), reasonOf(x.Reason))
	}
	_ = w.Flush() // a failing output is noticed by whoever reads it
}

// addresses prints what an exchange is about, single addresses without length;
// of many the first two, so that one exchange stays on one line.
func addresses(x api.Answer) string {
	const shown = 2
	var parts []string
	for _, p := range x.Addresses[:min(shown, len(x.Addresses))] {
		parts = append(parts, nic.ShortPrefix(p))
	}
	if more := len(x.Addresses) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("+%d", more))
	}
	return orDash(strings.Join(parts, " "))
}

func xid(x api.Answer) string {
	if x.XID == "" {
		return "-" // neighbour discovery and ARP have none
	}
	return "xid " + printable(x.XID)
}

func showCounters(out io.Writer, c *api.Counters) {
	if c == nil {
		return
	}
	fmt.Fprintf(out, "\nframes  %d from the guest, %d to the guest, %d taken to be answered\n", c.FromGuest, c.ToGuest, total(c.Taken))
	w := newTable(out)
	showReasons(w, "taken", c.Taken)
	showReasons(w, "dropped", c.Dropped)
	showReasons(w, "audited", c.Audited)
	showReasons(w, "ignored", c.Ignored)
	_ = w.Flush() // as above
}

func total(counts map[string]uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}

// showReasons lists counts, the largest first, with what each reason means.
func showReasons(w io.Writer, verb string, counts map[string]uint64) {
	names := slices.SortedFunc(maps.Keys(counts), func(x, y string) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
	for _, name := range names {
		row(w, "  "+verb, fmt.Sprint(counts[name]), printable(name), reasonText(name))
	}
}

func reasonText(name string) string {
	var r reason.Reason
	if err := r.UnmarshalText([]byte(name)); err != nil {
		return "this berth does not know the reason; is berthd newer?"
	}
	return r.Text()
}
