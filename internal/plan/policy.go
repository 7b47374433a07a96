package plan

import (
	"cmp"
	"fmt"
	"path"
	"slices"

	"github.com/berth-net/berth/internal/reason"
)

// Policy is what the site decided about interfaces as such. Patterns are
// path.Match globs over the whole name.
type Policy struct {
	Closed []string // names that pass nothing while they have no binding; `tap*` or exact
	Deny   []string // names never to be touched
	Allow  []string // names whose kind is not known to be a guest's port, but may be bound
}

// Manages reports whether a name without a binding is closed.
func (p Policy) Manages(name string) bool { return matchAny(p.Closed, name) }

// forbids reports names that no configuration may bind.
func (p Policy) forbids(name string) (reason.Reason, string) {
	if matchAny(p.Deny, name) {
		return reason.WaitForbidden, "the name is on the deny list"
	}
	return reason.None, ""
}

// unfit reports links that cannot be a guest's port.
func (p Policy) unfit(l Link) (reason.Reason, string) {
	switch {
	case !l.Ethernet && !l.Loopback:
		return reason.WaitNotEthernet, ""
	case l.Loopback, l.Kind == "bridge", l.Kind == "bond", l.Kind == "openvswitch":
		return reason.WaitForbidden, "it is a " + cmp.Or(l.Kind, "loopback")
	case slices.Contains([]string{"macvtap", "ipvtap", "macvlan", "ipvlan"}, l.Kind):
		// What its guest sends leaves by the egress hook: guarding it like a tap
		// would filter nothing.
		return reason.WaitForbidden, "its kind is " + l.Kind + ", which berth cannot guard yet"
	case isGuestPort(l.Kind) || matchAny(p.Allow, l.Name):
		return reason.None, ""
	default:
		return reason.WaitForbidden, fmt.Sprintf("its kind is %q: name it under `allow` to bind it", cmp.Or(l.Kind, "hardware"))
	}
}

// isGuestPort reports the kinds of device that end in a guest.
func isGuestPort(kind string) bool {
	return slices.Contains([]string{"tun", "veth", "vif"}, kind)
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return err == nil && ok
	})
}
