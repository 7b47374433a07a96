package statichcpd

import (
	"fmt"

	"github.com/berth-net/berth/internal/nic"
)

// minTime is the least time a lease or an address of berth's has.
const minTime = 60

// lifetimes are the times of DHCPv6.
type lifetimes struct{ t1, t2, preferred, valid nic.Seconds }

// repair is what was changed of which: 0 to 3, in order of the fields.
type repair struct {
	of   int
	text string
}

// repair makes preferred <= valid and T1 <= T2 <= preferred (RFC 8415 sections
// 21.4 and 21.6) as statichcpd does.
func (l *lifetimes) repair() []repair {
	var out []repair
	if l.valid < minTime {
		out = append(out, repair{3, fmt.Sprintf("valid lifetime %d is raised to %d", l.valid, minTime)})
		l.valid = minTime
	}
	if l.preferred < minTime {
		out = append(out, repair{2, fmt.Sprintf("preferred lifetime %d is raised to %d", l.preferred, minTime)})
		l.preferred = minTime
	}
	if l.preferred > l.valid {
		out = append(out, repair{2, fmt.Sprintf("preferred lifetime %d is longer than the valid lifetime, taken as %d", l.preferred, l.valid)})
		l.preferred = l.valid
	}
	if l.t1 > l.t2 || l.t2 > l.preferred {
		t1, t2 := l.preferred/2, l.preferred/5*4+l.preferred%5*4/5
		out = append(out, repair{0, fmt.Sprintf("T1 %d and T2 %d do not stand in order below the preferred lifetime %d, taken as %d and %d", l.t1, l.t2, l.preferred, t1, t2)})
		l.t1, l.t2 = t1, t2
	}
	return out
}
