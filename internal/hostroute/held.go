package hostroute

import (
	"fmt"
	"net/netip"
)

// heldError says that a destination has another route. The kernel would take
// ours beside it under another metric, and one of them would be dead.
type heldError struct {
	to netip.Prefix
	by string // empty if it could not be found
}

func (e heldError) Error() string {
	if e.by == "" {
		return fmt.Sprintf("route %v: there is another route to it", e.to)
	}
	return fmt.Sprintf("route %v: there is another route to it: %s", e.to, e.by)
}
