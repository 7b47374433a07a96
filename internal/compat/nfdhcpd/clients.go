package nfdhcpd

import (
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/berth-net/berth/internal/nic"
)

// Clients is the table that nfdhcpd logged on SIGUSR1, a line a NIC below a
// heading, in order of name: key, host name, MAC, tap, IP, EUI64. A NIC's key
// is its name; "-" is nothing.
func Clients(bindings []nic.Binding) []string {
	sorted := slices.SortedFunc(slices.Values(bindings), func(x, y nic.Binding) int { return strings.Compare(x.NIC, y.NIC) })
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = w.Write([]byte(strings.Join(cells, "\t") + "\n")) }
	row("KEY", "HOSTNAME", "MAC", "TAP", "IP", "EUI64")
	for i := range sorted {
		b := &sorted[i]
		row(b.NIC, dash(b.Hostname), b.MAC.String(), b.NIC, first(b.Delivered()), first(b.Addresses6()...))
	}
	_ = w.Flush() // into memory
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func first(list ...netip.Prefix) string {
	if len(list) == 0 || !list[0].IsValid() {
		return "-"
	}
	return list[0].Addr().String()
}
