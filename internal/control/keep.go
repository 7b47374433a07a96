package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
)

// Site tells this site from others, and what it is now from what it was before
// it was put back from a backup.
type Site struct {
	ID    string `json:"id"`
	Epoch int64  `json:"epoch"`
}

// settle makes what the site has for good, before anything else is done: its
// name, and the identifier of its DHCPv6 servers.
func (r *Replica) settle(ctx context.Context) error {
	for {
		err := r.settleOnce(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, etcd.ErrConflict) && !errors.Is(err, etcd.ErrUnknown) && !errors.Is(err, etcd.ErrUnavailable):
			return fmt.Errorf("set the site up: %w", err)
		}
		pause(ctx)
	}
}

func (r *Replica) settleOnce(ctx context.Context) error {
	site, _, err := r.store.Get(ctx, siteKey)
	if err != nil {
		return err
	}
	duid, _, err := r.store.Get(ctx, fleet.DUIDKey)
	if err != nil {
		return err
	}
	var needs []fleet.Need
	var puts []fleet.Put
	if site == nil || r.opts.Restored {
		put, err := nextSite(site)
		if err != nil {
			return err
		}
		needs, puts = append(needs, need(siteKey, site)), append(puts, put)
	}
	if duid == nil {
		needs, puts = append(needs, need(fleet.DUIDKey, nil)), append(puts, fleet.Put{Key: fleet.DUIDKey, Value: []byte(newDUID())})
	}
	if len(puts) == 0 {
		return nil
	}
	_, err = r.store.Commit(ctx, needs, puts, nil)
	return err
}

func need(key string, e *etcd.Event) fleet.Need {
	if e == nil {
		return fleet.Need{Key: key}
	}
	return fleet.Need{Key: key, Revision: e.ModRevision}
}

// nextSite is a new site, or one whose epoch is raised.
func nextSite(e *etcd.Event) (fleet.Put, error) {
	var s Site
	if e == nil {
		s.ID = randomHex(16)
	} else if err := json.Unmarshal(e.Value, &s); err != nil {
		return fleet.Put{}, fmt.Errorf("%s: %w", e.Key, err)
	}
	s.Epoch++
	value, err := json.Marshal(s)
	return fleet.Put{Key: siteKey, Value: value}, err
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // the system's source does not fail
	return hex.EncodeToString(b)
}

// newDUID is a DUID-UUID (RFC 6355) in hex with colons: 00:04 and a UUID of
// version 4 (RFC 9562 section 5.4).
func newDUID() string {
	b := make([]byte, 18)
	_, _ = rand.Read(b[2:]) // as above
	b[1] = 4
	b[2+6] = b[2+6]&0x0f | 0x40
	b[2+8] = b[2+8]&0x3f | 0x80
	parts := make([]string, len(b))
	for i, x := range b {
		parts[i] = fmt.Sprintf("%02x", x)
	}
	return strings.Join(parts, ":")
}

const (
	keepKey   = "c/keeper"
	keepEvery = time.Hour
	someKeys  = 500 // are read at a time
	// leap is how far the clock may have gone since the last time: what a wrong one
	// has removed does not come back when it is set.
	leap = 24 * time.Hour
)

// keep removes what is older than the retention: of all replicas one at a time,
// the one that wrote the hour's mark.
func (r *Replica) keep(ctx context.Context) error {
	for {
		if err := r.keepOnce(ctx); err != nil && ctx.Err() == nil {
			r.log.Warn("what is older than the retention could not be removed", "err", err)
		}
		t := time.NewTimer(keepEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

func (r *Replica) keepOnce(ctx context.Context) error {
	mark, _, err := r.store.Get(ctx, keepKey)
	if err != nil {
		return err
	}
	now := r.now()
	var last time.Time
	if mark != nil {
		if last, err = time.Parse(time.RFC3339Nano, string(mark.Value)); err == nil && now.Sub(last) < keepEvery/2 && !last.After(now) {
			return nil
		}
	}
	_, err = r.store.Commit(ctx, []fleet.Need{need(keepKey, mark)}, []fleet.Put{{Key: keepKey, Value: now.UTC().AppendFormat(nil, time.RFC3339Nano)}}, nil)
	if errors.Is(err, etcd.ErrConflict) {
		return nil // another replica does it
	}
	if err != nil {
		return err
	}
	if !last.IsZero() && now.Sub(last) > leap {
		r.log.Warn("nothing is removed this hour: the site was away for long, or the clock is wrong", "last", last, "now", now)
		return nil
	}
	return r.prune(ctx, now.Add(-r.opts.Retention))
}

// prune removes records of before a time. Tenures go by their end.
func (r *Replica) prune(ctx context.Context, before time.Time) error {
	for _, prefix := range []string{historyKeys, decisionKeys} {
		n, err := r.store.Prune(ctx, prefix, before)
		if err != nil {
			return err
		}
		if n > 0 {
			r.log.Info("old records were removed", "of", prefix, "count", n, "before", before)
		}
	}
	if err := r.pruneTenures(ctx, before); err != nil {
		return err
	}
	return r.pruneTokens(ctx)
}

func (r *Replica) pruneTenures(ctx context.Context, before time.Time) error {
	from := tenureKeys
	for {
		events, _, err := r.store.Range(ctx, from, fleet.After(tenureKeys), etcd.RangeOptions{Limit: someKeys})
		if err != nil || len(events) == 0 {
			return err
		}
		var needs []fleet.Need
		var old []string
		for _, e := range events {
			var t fleet.Tenure
			if json.Unmarshal(e.Value, &t) == nil && t.To != nil && t.To.Before(before) {
				needs, old = append(needs, fleet.Need{Key: e.Key, Revision: e.ModRevision}), append(old, e.Key)
			}
		}
		for len(old) > 0 {
			n := min(together/2, len(old)) // a cluster takes 128 operations, unless it is told otherwise
			if _, err := r.store.Commit(ctx, needs[:n], nil, old[:n]); err != nil && !errors.Is(err, etcd.ErrConflict) {
				return err
			}
			needs, old = needs[n:], old[n:]
		}
		from = events[len(events)-1].Key + "\x00"
	}
}
