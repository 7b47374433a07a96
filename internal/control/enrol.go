package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/pki"
	"github.com/berth-net/berth/internal/rest/wire"
)

// Token makes a token with which a node enrols, once.
func (r *Replica) Token(ctx context.Context, who identity.Identity, node string) (wire.Token, error) {
	created, err := r.exists(node)
	if err != nil {
		return wire.Token{}, err
	}
	token, key, err := r.ca.NewToken(node)
	if err != nil {
		return wire.Token{}, err
	}
	ticket := pki.Ticket{Node: node, Created: created, By: who.String(), Expires: r.now().Add(pki.TokenLife).UTC().Truncate(time.Second)}
	value, err := json.Marshal(ticket)
	if err != nil {
		return wire.Token{}, fmt.Errorf("token: %w", err)
	}
	_, err = r.store.Commit(ctx, []fleet.Need{{Key: fleet.TokenKey(key)}}, []fleet.Put{{Key: fleet.TokenKey(key), Value: value}}, nil)
	return wire.Token{Token: token, Expires: ticket.Expires}, unavailable(err)
}

// Refused is an enrolment that is not made. Its text is for the log: whoever
// asked is told no more than ErrToken.
type Refused struct {
	Node string
	Why  string
}

func (r *Refused) Error() string { return fmt.Sprintf("enrolment of node %q: %s", r.Node, r.Why) }

// Is makes it an ErrToken.
func (r *Refused) Is(target error) bool { return target == ErrToken }

// Enrol gives a node its certificate for a token, which is used up by the same
// transaction that records the enrolment.
func (r *Replica) Enrol(ctx context.Context, e wire.Enrol, from string) (wire.Enrolled, error) {
	node, secret, _, ok := wire.ParseToken(e.Token)
	if !ok {
		return wire.Enrolled{}, &Refused{Why: "it has not the form of a token"}
	}
	key := fleet.TokenKey(pki.TokenKey(secret))
	kept, _, err := r.store.Get(ctx, key)
	if err != nil {
		return wire.Enrolled{}, unavailable(err)
	}
	ticket, err := r.judge(kept, node)
	if err != nil {
		return wire.Enrolled{}, err
	}
	id := randomHex(16)
	issued, err := r.ca.Node([]byte(e.CSR), node, id, r.now())
	if err != nil {
		return wire.Enrolled{}, err
	}
	ticket.Used, ticket.From = r.now().UTC(), from
	if err := r.enlist(ctx, kept, ticket, id); err != nil {
		return wire.Enrolled{}, err
	}
	return r.enrolledAs(issued), nil
}

// judge says whether a token is good.
func (r *Replica) judge(kept *etcd.Event, node string) (pki.Ticket, error) {
	var t pki.Ticket
	if kept == nil {
		return t, &Refused{node, "there is no such token"}
	}
	if err := json.Unmarshal(kept.Value, &t); err != nil {
		return t, fmt.Errorf("%s: %w", kept.Key, err)
	}
	switch {
	case t.Node != node:
		return t, &Refused{node, fmt.Sprintf("the token is of node %q", t.Node)}
	case !t.Used.IsZero():
		return t, &Refused{node, fmt.Sprintf("the token was used already at %s from %s", t.Used.Format(time.RFC3339), t.From)}
	case !r.now().Before(t.Expires):
		return t, &Refused{node, fmt.Sprintf("the token expired at %s", t.Expires.Format(time.RFC3339))}
	}
	if created, err := r.exists(node); err != nil || !created.Equal(t.Created) {
		return t, &Refused{node, "the node was removed since the token was made"}
	}
	return t, nil
}

func (r *Replica) enlist(ctx context.Context, kept *etcd.Event, ticket pki.Ticket, id string) error {
	used, err := json.Marshal(ticket)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	record, err := json.Marshal(pki.Enrolment{ID: id, Since: ticket.Used, By: ticket.By})
	if err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	r.mu.RLock()
	var node int64
	if n := r.state.Get(fleet.KindNode, ticket.Node); n != nil {
		node = n.Header().Meta.Revision
	}
	r.mu.RUnlock()
	revision, err := r.store.Commit(ctx,
		[]fleet.Need{{Key: kept.Key, Revision: kept.ModRevision}, {Key: fleet.ResourceKey(fleet.KindNode, ticket.Node), Revision: node}},
		[]fleet.Put{{Key: kept.Key, Value: used}, {Key: enrolledKeys + ticket.Node, Value: record}}, nil)
	switch {
	case errors.Is(err, etcd.ErrConflict):
		return &Refused{ticket.Node, "the token was used, or the node changed, at the same moment"}
	case err != nil:
		return unavailable(err)
	}
	return r.reached(ctx, revision)
}

func (r *Replica) enrolledAs(issued pki.Issued) wire.Enrolled {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return wire.Enrolled{
		Certificate: string(issued.PEM), CA: string(r.ca.PEM()), Expires: issued.Expires,
		DUID: r.state.DUID(), Controllers: append([]string{}, r.opts.URLs...),
	}
}

// Renew gives a node another certificate of the same enrolment.
func (r *Replica) Renew(node, enrolment, csr string) (wire.Enrolled, error) {
	issued, err := r.ca.Node([]byte(csr), node, enrolment, r.now())
	if err != nil {
		return wire.Enrolled{}, err
	}
	return r.enrolledAs(issued), nil
}

// Current refuses a node's certificate that is of an earlier enrolment, or of a
// node that was removed.
func (r *Replica) Current(node, enrolment string) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	e, ok := r.enrolled[node]
	switch {
	case !r.read:
		return fmt.Errorf("%w: it has not read the site yet", ErrUnavailable)
	case !ok || r.state.Get(fleet.KindNode, node) == nil:
		return fmt.Errorf("node %q: %w", node, ErrNoNode)
	case e.ID == "" || e.ID != enrolment:
		return &Refused{node, "the certificate is of an earlier enrolment"}
	}
	return nil
}

// pruneTokens removes those that could not be used any more for a day.
func (r *Replica) pruneTokens(ctx context.Context) error {
	const prefix = "t/"
	events, _, err := r.store.Range(ctx, prefix, fleet.After(prefix), etcd.RangeOptions{})
	if err != nil {
		return err
	}
	for _, e := range events {
		var t pki.Ticket
		if err := json.Unmarshal(e.Value, &t); err != nil || !strings.HasPrefix(e.Key, prefix) {
			continue
		}
		if r.now().Before(t.Expires.Add(24 * time.Hour)) {
			continue
		}
		if _, err := r.store.Commit(ctx, []fleet.Need{{Key: e.Key, Revision: e.ModRevision}}, nil, []string{e.Key}); err != nil && !errors.Is(err, etcd.ErrConflict) {
			return err
		}
	}
	return nil
}
