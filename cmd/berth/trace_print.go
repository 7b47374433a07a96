package main

import (
	"fmt"
	"strings"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/reason"
)

// printTraced writes what came of each frame. Of a capture the sum goes to the
// standard error.
func (a *app) printTraced(format string, t *tracing) error {
	if format != "text" {
		return a.structured(format, t.traced)
	}
	for i, one := range t.traced {
		if i > 0 {
			fmt.Fprintln(a.stdout)
		}
		if t.pcap != "" {
			fmt.Fprintf(a.stdout, "packet %d, ", i+1)
		}
		a.printOne(one)
	}
	if t.pcap != "" {
		fmt.Fprintln(a.stderr, fateCounts(t.traced))
	}
	return nil
}

func (a *app) printOne(t api.Traced) {
	direction := "from the guest"
	if t.ToGuest {
		direction = "to the guest"
	}
	a.printTold(direction, t.Frame)
	fmt.Fprintln(a.stdout, a.fateText(t))
	if t.Audited != reason.None {
		fmt.Fprintf(a.stdout, "but for the audit it would be dropped: %s: %s\n", t.Audited, printable(t.Audited.Text()))
	}
	if t.Permitted != "" {
		fmt.Fprintf(a.stdout, "permitted %s\n", printable(t.Permitted))
	}
	switch {
	case t.Reply != nil && t.ReplyTo != "":
		a.printTold("reply, to "+printable(t.ReplyTo), *t.Reply)
	case t.Reply != nil:
		a.printTold("reply", *t.Reply)
	}
}

func (a *app) printTold(what string, t api.Told) {
	fmt.Fprintf(a.stdout, "%s: %s\n", what, printable(t.Text))
	for _, d := range t.Details {
		fmt.Fprintf(a.stdout, "  %s\n", printable(d))
	}
}

// fateText is one line.
func (a *app) fateText(t api.Traced) string {
	switch t.Fate {
	case api.Passes:
		return a.colour("passes", "32")
	case api.Dropped:
		return a.colour("dropped", "31") + because(t)
	case api.Answered:
		return a.colour("answered by the kernel", "32") + exchangeText(t)
	case api.HandedUp:
		return a.colour("handed up to berthd", "32") + exchangeText(t)
	default: // not-traced, and what a newer agent may say
		return a.colour(printable(string(t.Fate)), "33") + because(t)
	}
}

// because is the reason, if there is one.
func because(t api.Traced) string {
	switch {
	case t.Reason != reason.None:
		return fmt.Sprintf(": %s: %s", t.Reason, printable(t.Why))
	case t.Why != "":
		return ": " + printable(t.Why)
	}
	return ""
}

// exchangeText is ": DISCOVER -> OFFER 192.0.2.10".
func exchangeText(t api.Traced) string {
	text := ": " + orDash(t.Request)
	if t.Answer == "" {
		return text + ", met with silence" + because(t)
	}
	text += " -> " + printable(t.Answer)
	for _, p := range t.Addresses {
		text += " " + nic.ShortPrefix(p)
	}
	return text + because(t)
}

// fateCounts is "3 frames: 1 passes, 2 dropped".
func fateCounts(all []api.Traced) string {
	counts := map[api.Fate]int{}
	for _, t := range all {
		counts[t.Fate]++
	}
	var parts []string
	for _, f := range []api.Fate{api.Passes, api.Dropped, api.Answered, api.HandedUp, api.NotTraced} {
		if n := counts[f]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, f))
		}
	}
	return fmt.Sprintf("%d frames: %s", len(all), strings.Join(parts, ", "))
}
