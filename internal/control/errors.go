package control

import (
	"errors"
	"fmt"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/policy"
)

// The errors somebody branches on, besides ipam's Refusals.
var (
	ErrUnavailable = errors.New("the controller cannot do this now")
	ErrBusy        = errors.New("too many others change the same")
	ErrGone        = errors.New("the history does not go back as far")
	ErrToken       = errors.New("the token is not good")
)

// Forbidden says that the asker lacks the role for it.
type Forbidden struct {
	Who  string
	What string // "write nic web-1 of project p"
	Need string // "member of project p", "operator"
}

// Error names all three.
func (f *Forbidden) Error() string {
	return fmt.Sprintf("%s may not %s: that takes %s", f.Who, f.What, f.Need)
}

// Denied says that a policy refused.
type Denied struct {
	Kind    fleet.Kind
	Name    string
	Verdict policy.Verdict
}

// Error is the policy's own message.
func (d *Denied) Error() string {
	return fmt.Sprintf("%s %s: %s", d.Kind, d.Name, d.Verdict.Message)
}

// unavailable makes an error of the store one of the controller's.
func unavailable(err error) error {
	for _, known := range []error{etcd.ErrUnavailable, etcd.ErrUnknown, etcd.ErrFull} {
		if errors.Is(err, known) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return err
}
