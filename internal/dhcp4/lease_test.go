package dhcp4

import (
	"fmt"
	"testing"

	"github.com/berth-net/berth/internal/nic"
)

func TestLease(t *testing.T) {
	const inf = nic.Infinite
	for name, c := range map[string]struct {
		lease, most, t1, t2 nic.Seconds
		asked               string // option 51 of the client, hex; "" if absent
		want                times
	}{
		"none asked":                  {86400, 172800, 43200, 75600, "", times{86400, 43200, 75600}},
		"zero asked":                  {86400, 172800, 43200, 75600, "00000000", times{86400, 43200, 75600}},
		"the same asked":              {86400, 172800, 43200, 75600, "00015180", times{86400, 43200, 75600}},
		"longer":                      {86400, 172800, 43200, 75600, "00017700", times{96000, 43200, 75600}},
		"the most":                    {86400, 172800, 43200, 75600, "0002a300", times{172800, 43200, 75600}},
		"over the most":               {86400, 172800, 43200, 75600, "0002a301", times{172800, 43200, 75600}},
		"infinite is clamped":         {86400, 172800, 43200, 75600, "ffffffff", times{172800, 43200, 75600}},
		"shorter scales T1 and T2":    {86400, 172800, 43200, 75600, "00000e10", times{3600, 1800, 3150}},
		"three seconds":               {86400, 172800, 43200, 75600, "00000003", times{3, 1, 2}},
		"two seconds have no T1":      {86400, 172800, 43200, 75600, "00000002", times{2, 0, 1}},
		"one second has neither":      {86400, 172800, 43200, 75600, "00000001", times{1, 0, 0}},
		"no T1 and T2":                {86400, 172800, 0, 0, "00000e10", times{3600, 0, 0}},
		"T1 alone":                    {86400, 172800, 21600, 0, "00000e10", times{3600, 900, 0}},
		"T2 alone":                    {86400, 172800, 0, 43200, "", times{86400, 0, 43200}},
		"most below lease":            {86400, 3600, 0, 0, "ffffffff", times{86400, 0, 0}},
		"no maximum":                  {86400, 0, 0, 0, "00015181", times{86400, 0, 0}},
		"infinite by default":         {inf, inf, 0, 0, "", times{inf, 0, 0}},
		"infinite at most":            {86400, inf, 43200, 75600, "ffffffff", times{inf, 43200, 75600}},
		"infinite, finite asked":      {inf, inf, 43200, 75600, "00015180", times{86400, 43200, 75600}},
		"infinite, T2 would not fit":  {inf, inf, 43200, 75600, "0000d2f0", times{54000, 43200, 0}},
		"infinite, neither would fit": {inf, inf, 43200, 75600, "00000e10", times{3600, 0, 0}},
		"nothing configured":          {0, 0, 0, 0, "", times{3600, 0, 0}},
		"only a maximum":              {0, 7200, 0, 0, "", times{7200, 0, 0}},
		"T1 not before T2":            {86400, 86400, 75600, 75600, "", times{86400, 0, 75600}},
		"T1 not before the end":       {86400, 86400, 86400, 0, "", times{86400, 0, 0}},
		"T2 not before the end":       {86400, 86400, 43200, 86400, "", times{86400, 43200, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			b := changed(func(b *nic.Binding) {
				b.DHCP4.Lease, b.DHCP4.MaxLease, b.DHCP4.T1, b.DHCP4.T2 = c.lease, c.most, c.t1, c.t2
				b.DHCP4.OnlyRequested = true
			})
			ask := "350101 37023a3b"
			if c.asked != "" {
				ask += "3304" + c.asked
			}
			wantOptions(t, isOffer+serverID+timesHex(c.want), Answer(server(b), asks(t, packet{options: ask})))
		})
	}
}

func timesHex(w times) string {
	s := fmt.Sprintf("3304%08x", uint32(w.lease))
	if w.t1 != 0 {
		s += fmt.Sprintf("3a04%08x", uint32(w.t1))
	}
	if w.t2 != 0 {
		s += fmt.Sprintf("3b04%08x", uint32(w.t2))
	}
	return s
}

// The binding's own options 58 and 59 win like any other and are held to the
// same order; an INFORM has none of them.
func TestOwnRenewalTimes(t *testing.T) {
	b := changed(func(b *nic.Binding) {
		own(58, "00005460")(b) // 21600
		own(59, "0000a8c0")(b) // 43200
		b.DHCP4.OnlyRequested = true
	})
	ask := "37023a3b"
	wantOptions(t, isOffer+serverID+lease1d+"3a0400005460"+"3b040000a8c0",
		Answer(server(b), asks(t, packet{options: "350101" + ask})))
	wantOptions(t, isOffer+serverID+"330400000e10"+"3a0400000384"+"3b0400000708",
		Answer(server(b), asks(t, packet{options: "350101 330400000e10" + ask})))
	wantOptions(t, isAck+serverID,
		Answer(server(b), asks(t, packet{options: "350108" + ask, ciaddr: "192.0.2.10"})))
}
