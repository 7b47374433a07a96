package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/berth-net/berth/internal/fleet"
)

// The ways in which a call fails.
var (
	// ErrConflict: a need no longer holds, and nothing was changed. See Conflict.
	ErrConflict = errors.New("something that the change needs has changed")
	// ErrTooLarge: nothing was changed; the store takes no transaction as large.
	ErrTooLarge = errors.New("the change is too large for one transaction")
	// ErrUnavailable: nothing was changed, or could be read; later it may be.
	ErrUnavailable = errors.New("the store is not available")
	// ErrFull: nothing was changed, and nothing will be until there is space.
	ErrFull = errors.New("the store is full")
	// ErrUnknown: the change was made, or was not, or will be. See Settle.
	ErrUnknown = errors.New("whether the change was made is unknown")
	// ErrClosed: this process has closed the store.
	ErrClosed = errors.New("the store is closed")
)

// Conflict is the ErrConflict of a transaction. Who decides again should have
// followed up to Revision first; Follow's readers are brought there without
// waiting for further changes.
type Conflict struct{ Revision int64 }

func (c *Conflict) Error() string { return fmt.Sprintf("%v, by revision %d", ErrConflict, c.Revision) }

// Is makes it an ErrConflict.
func (c *Conflict) Is(target error) bool { return target == ErrConflict }

// Commit makes one change, wholly or not at all: if every need holds, all puts
// and deletes (of a key, or of fleet.AllUnder it) are done at the revision that
// is returned. The error is one of ErrConflict, ErrTooLarge, ErrUnavailable,
// ErrFull, ErrUnknown, or a mistake of the caller's.
func (s *Store) Commit(ctx context.Context, needs []fleet.Need, puts []fleet.Put, deletes []string) (int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	resp, err := s.client.Txn(clientv3.WithRequireLeader(ctx)).
		If(s.compares(needs)...).
		Then(s.writes(puts, deletes)...).
		Commit()
	if err != nil {
		return 0, fmt.Errorf("commit %d puts and %d deletes on %d needs: %w", len(puts), len(deletes), len(needs), writeError(err))
	}
	if !resp.Succeeded {
		s.wake(ctx)
		return 0, &Conflict{Revision: resp.Header.Revision}
	}
	return resp.Header.Revision, nil
}

func (s *Store) compares(needs []fleet.Need) []clientv3.Cmp {
	out := make([]clientv3.Cmp, len(needs))
	for i, n := range needs {
		revision := clientv3.ModRevision(s.prefix + n.Key)
		if n.End == "" {
			out[i] = clientv3.Compare(revision, "=", n.Revision)
		} else {
			out[i] = clientv3.Compare(revision, "<", n.Revision+1).WithRange(s.prefix + n.End)
		}
	}
	return out
}

func (s *Store) writes(puts []fleet.Put, deletes []string) []clientv3.Op {
	out := make([]clientv3.Op, 0, len(puts)+len(deletes))
	for _, p := range puts {
		out = append(out, clientv3.OpPut(s.prefix+p.Key, string(p.Value)))
	}
	for _, key := range deletes {
		var opts []clientv3.OpOption
		if fleet.AllUnder(key) {
			opts = append(opts, clientv3.WithPrefix())
		}
		out = append(out, clientv3.OpDelete(s.prefix+key, opts...))
	}
	return out
}

// settled is how long the mark of a change that was not made stays: longer than
// any transaction is under way.
const settled = 3600

// Settle ends an ErrUnknown. The key is one that the transaction put and needed
// to be absent. Either it was made: then its revision is returned. Or it was not
// and, as the key is now taken by an empty value, cannot be any more: then 0.
// Without a mark, a read that finds nothing proves nothing: the transaction may
// still be on its way.
func (s *Store) Settle(ctx context.Context, key string) (int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	ctx = clientv3.WithRequireLeader(ctx)
	lease, err := s.client.Grant(ctx, settled)
	if err != nil {
		return 0, fmt.Errorf("settle %s: %w", key, writeError(err))
	}
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.prefix+key), "=", 0)).
		Then(clientv3.OpPut(s.prefix+key, "", clientv3.WithLease(lease.ID))).
		Else(clientv3.OpGet(s.prefix + key)).
		Commit()
	if err != nil {
		return 0, fmt.Errorf("settle %s: %w", key, writeError(err))
	}
	if resp.Succeeded {
		return 0, nil
	}
	// What was found may be a mark that was made before. The lease holds nothing
	// and ends by itself.
	kv := resp.Responses[0].GetResponseRange().Kvs[0]
	if len(kv.Value) == 0 {
		return 0, nil
	}
	return kv.ModRevision, nil
}

// writeError says whether a transaction that failed may have been made. Only
// what etcd answers before it proposes anything to its members is sure.
func writeError(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("%w: %w; start the members of the cluster with --max-txn-ops=%d", ErrTooLarge, err, maxTxnOps)
	case errors.Is(err, rpctypes.ErrRequestTooLarge), tooLong(err):
		return fmt.Errorf("%w: %w; start the members of the cluster with --max-request-bytes=%d", ErrTooLarge, err, maxRequestBytes)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, rpctypes.ErrNoLeader), errors.Is(err, rpctypes.ErrTooManyRequests):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case refused(err):
		return err
	default:
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
}

// tooLong reports whether gRPC itself has refused a message, at either end.
func tooLong(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "message larger than max")
}

// readError is an ErrUnavailable if trying again may help.
func readError(err error) error {
	if refused(err) || errors.Is(err, rpctypes.ErrCompacted) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// refused reports whether etcd will say the same again.
func refused(err error) bool {
	code := status.Code(err)
	if e, ok := errors.AsType[rpctypes.EtcdError](err); ok {
		code = e.Code()
	}
	switch code {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.FailedPrecondition, codes.Unimplemented:
		return true
	default:
		return false
	}
}
