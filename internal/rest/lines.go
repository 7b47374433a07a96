package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/wire"
)

// lines writes what `next` says, and an empty line when it has nothing to say
// for a while. A reader that does not take a line in time is cut off.
func (s *Server) lines(c *call, next func(context.Context) ([][]byte, error)) error {
	c.sent = true
	c.w.Header().Set("Content-Type", typeLines)
	c.w.WriteHeader(http.StatusOK)
	if err := s.flush(c, nil); err != nil {
		return err
	}
	for checked := time.Now(); ; {
		if time.Since(checked) >= s.alive {
			checked = time.Now()
			if err := s.identify(c); err != nil {
				return err // what it came with is good no more
			}
		}
		ctx, cancel := context.WithTimeout(c.r.Context(), s.alive)
		lines, err := next(ctx)
		idle := ctx.Err() != nil && c.r.Context().Err() == nil && (err == nil || errors.Is(err, context.DeadlineExceeded))
		cancel()
		switch {
		case idle && len(lines) == 0:
			lines = [][]byte{{'\n'}}
		case err != nil:
			return err
		case c.r.Context().Err() != nil:
			return c.r.Context().Err()
		}
		if err := s.flush(c, lines); err != nil {
			return err
		}
	}
}

func (s *Server) flush(c *call, lines [][]byte) error {
	s.deadline(c.w, s.slow)
	for _, line := range lines {
		if _, err := c.w.Write(line); err != nil {
			return err
		}
	}
	rc := http.NewResponseController(c.w)
	if err := rc.Flush(); err != nil {
		return err
	}
	// HTTP/2 would end the stream at the deadline though nothing is to be written:
	// a set of which there are many before it takes its time.
	return rc.SetWriteDeadline(time.Time{})
}

// watch says changes of resources behind a revision.
func (s *Server) watch(c *call) (any, error) {
	only, from := c.args.kind(), int64(c.args.number("from", 0))
	if from == 0 {
		from, _ = s.replica.Revision()
	}
	// What cannot be watched is said with a status, not in the middle of lines.
	now, cancel := context.WithCancel(c.r.Context())
	cancel()
	if _, _, err := s.replica.Watch(now, c.who, from); err != nil {
		return nil, err
	}
	who := c.who.String()
	if !s.watches.enter(who) {
		return nil, refuse(http.StatusTooManyRequests, "%s has %d watches here: end one of them", who, maxWatches)
	}
	defer s.watches.leave(who)
	err := s.lines(c, func(ctx context.Context) ([][]byte, error) {
		changes, revision, err := s.replica.Watch(ctx, c.who, from)
		if err != nil {
			return nil, err
		}
		from = revision
		var out [][]byte
		for i := range changes {
			if only != "" && changes[i].Kind != only {
				continue
			}
			line, err := marshal(eventOf(&changes[i]))
			if err != nil {
				return nil, err
			}
			out = append(out, line)
		}
		return out, nil
	})
	s.log.Debug("watch ended", "actor", c.actor(), "from", c.r.RemoteAddr, "err", err)
	return nil, nil
}

func eventOf(ch *control.Change) wire.Event[fleet.Resource] {
	e := wire.Event[fleet.Resource]{Revision: ch.Revision, Type: wire.Put, Kind: ch.Kind, Name: ch.Name}
	if ch.After == nil {
		e.Type = wire.Deleted
		return e
	}
	e.Resource = &ch.After
	return e
}
