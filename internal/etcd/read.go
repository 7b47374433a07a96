package etcd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// RangeOptions restrict a Range.
type RangeOptions struct {
	Limit    int   // of keys; 0: none
	Newest   bool  // the last keys first; the store sorts the whole range for that
	Revision int64 // as it was then; 0: now
	KeysOnly bool
}

// Get reads one key, and the store's revision. A key that is not there is nil.
func (s *Store) Get(ctx context.Context, key string) (*Event, int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	resp, err := s.client.Get(clientv3.WithRequireLeader(ctx), s.prefix+key)
	if err != nil {
		return nil, 0, fmt.Errorf("get %s: %w", key, readError(err))
	}
	if len(resp.Kvs) == 0 {
		return nil, resp.Header.Revision, nil
	}
	return &s.events(resp.Kvs)[0], resp.Header.Revision, nil
}

// Latest is the revision of the store now: no change that anybody was told of
// before this call is after it. A replica whose picture is older may be wrong
// when it refuses something, or finds that nothing is to be done: no commit
// would tell. Follow's readers are brought to the revision.
func (s *Store) Latest(ctx context.Context) (int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	resp, err := s.client.Get(clientv3.WithRequireLeader(ctx), s.prefix, clientv3.WithKeysOnly())
	if err != nil {
		return 0, fmt.Errorf("latest revision: %w", readError(err))
	}
	s.wake(ctx)
	return resp.Header.Revision, nil
}

// Range reads the keys from one up to, and without, another, all at the
// revision that is returned. An empty end is that of the store.
func (s *Store) Range(ctx context.Context, from, to string, o RangeOptions) ([]Event, int64, error) {
	key, end := s.prefix+from, s.prefix+to
	if to == "" {
		end = clientv3.GetPrefixRangeEnd(s.prefix)
	}
	var out []Event
	for at := o.Revision; ; {
		want := span{end: end, at: at, limit: chunk, newest: o.Newest, keysOnly: o.KeysOnly}
		if o.Limit > 0 {
			want.limit = min(chunk, o.Limit-len(out))
		}
		page, err := s.page(ctx, key, want)
		if err != nil {
			return nil, 0, fmt.Errorf("range %s to %s: %w", from, to, err)
		}
		out, at = append(out, s.events(page.Kvs)...), page.at
		if !page.More || len(out) == o.Limit {
			return out, at, nil
		}
		if o.Newest {
			end = string(page.Kvs[len(page.Kvs)-1].Key)
		} else {
			key = page.next
		}
	}
}

// span is what one page is read from.
type span struct {
	end      string
	at       int64 // 0: now
	limit    int
	newest   bool
	keysOnly bool
}

type page struct {
	*clientv3.GetResponse
	at   int64
	next string // key at which the next one begins
}

func (s *Store) page(ctx context.Context, key string, p span) (page, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	opts := []clientv3.OpOption{clientv3.WithRange(p.end), clientv3.WithLimit(int64(p.limit)), clientv3.WithRev(p.at)}
	if p.newest {
		opts = append(opts, clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	}
	if p.keysOnly {
		opts = append(opts, clientv3.WithKeysOnly())
	}
	resp, err := s.client.Get(clientv3.WithRequireLeader(ctx), key, opts...)
	if err != nil {
		return page{}, readError(err)
	}
	out := page{GetResponse: resp, at: p.at}
	if p.at == 0 {
		out.at = resp.Header.Revision
	}
	if n := len(resp.Kvs); n > 0 {
		out.next = string(resp.Kvs[n-1].Key) + "\x00"
	}
	return out, nil
}

// span is all keys with the prefix.
func (s *Store) span(prefix string) (key, end string) {
	return s.prefix + prefix, clientv3.GetPrefixRangeEnd(s.prefix + prefix)
}

func (s *Store) events(kvs []*mvccpb.KeyValue) []Event {
	out := make([]Event, len(kvs))
	for i, kv := range kvs {
		out[i] = Event{Key: strings.TrimPrefix(string(kv.Key), s.prefix), Value: kv.Value, ModRevision: kv.ModRevision}
	}
	return out
}

// Moment is a time as it is written in keys: in the order of time.
func Moment(t time.Time) string { return fmt.Sprintf("%020d", max(t.UnixNano(), 0)) }

// Prune deletes the keys with the prefix, which a Moment follows, that are of
// before that time, and returns how many. It does so in small transactions, so
// that nobody waits long for it.
func (s *Store) Prune(ctx context.Context, prefix string, before time.Time) (int, error) {
	key, end := s.prefix+prefix, s.prefix+prefix+Moment(before)
	for n := 0; ; {
		page, err := s.page(ctx, key, span{end: end, limit: chunk, keysOnly: true})
		if err != nil {
			return n, fmt.Errorf("prune %s: %w", prefix, err)
		}
		if len(page.Kvs) == 0 {
			return n, nil
		}
		done, err := s.drop(ctx, key, page.next)
		n += done
		if err != nil {
			return n, fmt.Errorf("prune %s: %w", prefix, err)
		}
	}
}

func (s *Store) drop(ctx context.Context, key, end string) (int, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	resp, err := s.client.Delete(ctx, key, clientv3.WithRange(end))
	if err != nil {
		return 0, writeError(err)
	}
	return int(resp.Deleted), nil
}
