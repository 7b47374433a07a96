package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// batchSize bounds what one write to a reader of events holds.
const batchSize = 256

// KindMissed is the kind of the event that stands for those a reader was too
// slow to get. Its number is that of the last one missed.
const KindMissed = "missed"

// events writes JSON lines. A slow reader slows only its own handler: the
// node's ring moves on, and what falls out of it is counted here.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	st, err := s.newStream(w, r)
	if err != nil {
		return err
	}
	if st.follow {
		select {
		case s.followers <- struct{}{}:
			defer func() { <-s.followers }()
		default:
			return refuse(http.StatusServiceUnavailable, "%d readers follow the events already", cap(s.followers))
		}
	}
	w.Header().Set("Content-Type", "application/jsonl")
	st.run(r)
	return nil
}

// stream is one reader of events.
type stream struct {
	server *Server
	w      http.ResponseWriter
	out    *json.Encoder
	follow bool
	nic    string
	seq    uint64
	behind bool // it has a place in the history that it can fall behind of
}

func (s *Server) newStream(w http.ResponseWriter, r *http.Request) (st *stream, err error) {
	st = &stream{server: s, w: w, out: json.NewEncoder(w), nic: r.URL.Query().Get("nic")}
	if r.URL.Query().Has("nic") {
		if err := CheckName(st.nic); err != nil {
			return nil, refuse(http.StatusBadRequest, "nic: %v", err)
		}
	}
	if st.follow, err = parseBool(r, "follow"); err != nil {
		return nil, err
	}
	st.seq, err = parseSeq(r)
	st.behind = st.seq > 0
	return st, err
}

// run ends with the reader, or with the history if it doesn't follow.
func (st *stream) run(r *http.Request) {
	for {
		b, err := st.server.node.After(r.Context(), st.seq, batchSize)
		if err != nil || st.write(b) != nil {
			return
		}
		if len(b.Events) > 0 {
			continue
		}
		if !st.follow || !st.idle(r, b.More) {
			return
		}
	}
}

// idle waits for further events and reports whether the reader is still there.
func (st *stream) idle(r *http.Request, more <-chan struct{}) bool {
	timer := time.NewTimer(st.server.alive)
	defer timer.Stop()
	select {
	case <-more:
		return true
	case <-r.Context().Done():
		return false
	case <-timer.C:
		st.server.deadline(st.w, st.server.slow)
		_, err := st.w.Write([]byte("\n"))
		return err == nil && http.NewResponseController(st.w).Flush() == nil
	}
}

func (st *stream) write(b Batch) error {
	st.server.deadline(st.w, st.server.slow)
	if err := st.writeMissed(b); err != nil {
		return err
	}
	for _, e := range b.Events {
		st.seq = e.Seq
		if st.nic != "" && e.NIC != st.nic {
			continue
		}
		if err := st.out.Encode(e); err != nil {
			return err
		}
	}
	st.behind = true
	return http.NewResponseController(st.w).Flush()
}

// writeMissed says what was lost. A reader that came for whatever is kept has
// missed nothing yet.
func (st *stream) writeMissed(b Batch) error {
	if b.Missed == 0 || !st.behind {
		return nil
	}
	e := Event{Kind: KindMissed, Missed: b.Missed, Text: fmt.Sprintf("%d events were lost: this reader was too slow", b.Missed)}
	if len(b.Events) > 0 {
		e.Seq, e.Time = b.Events[0].Seq-1, b.Events[0].Time
	}
	return st.out.Encode(e)
}
