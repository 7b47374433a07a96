package api

import (
	"context"
	"fmt"
)

// Actor is the process at the other end of the socket, as the kernel vouches
// for it (SO_PEERCRED, taken when it connected).
type Actor struct {
	UID, GID uint32
	PID      int32
}

// String is how the actor appears in the audit line: "uid=0 pid=123".
func (a Actor) String() string { return fmt.Sprintf("uid=%d pid=%d", a.UID, a.PID) }

type actorKey struct{}

// WithActor returns a context that carries who asks.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorFrom returns who asks; ok is false for the agent's own doing.
func ActorFrom(ctx context.Context) (a Actor, ok bool) {
	a, ok = ctx.Value(actorKey{}).(Actor)
	return a, ok
}
