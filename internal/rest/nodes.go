package rest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/rest/wire"
)

func (s *Server) nodeStatus(c *call) (any, error) {
	if _, err := s.readable(c, fleet.KindNode, identity.Get); err != nil {
		return nil, err
	}
	return s.replica.NodeStatus(c.r.Context(), c.args.name())
}

func (s *Server) nodeToken(c *call) (any, error) {
	t, err := s.replica.Token(c.r.Context(), c.who, c.args.name())
	if err == nil {
		s.log.Info("enrolment token made", "actor", c.actor(), "from", c.r.RemoteAddr, "node", c.args.name())
	}
	return t, err
}

func (s *Server) enrol(c *call) (any, error) {
	e, err := decode[wire.Enrol](c)
	if err != nil {
		return nil, err
	}
	out, err := s.replica.Enrol(c.r.Context(), e, host(c.r.RemoteAddr))
	if err == nil {
		node, _, _, _ := wire.ParseToken(e.Token)
		s.log.Info("node enrolled", "node", node, "from", c.r.RemoteAddr)
	}
	return out, err
}

func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

func (s *Server) renew(c *call) (any, error) {
	w, err := decode[wire.Renew](c)
	if err != nil {
		return nil, err
	}
	out, err := s.replica.Renew(c.args.name(), c.enrolment(), w.CSR)
	if err == nil {
		s.log.Info("certificate renewed", "node", c.args.name(), "from", c.r.RemoteAddr)
	}
	return out, err
}

// maxProblem is how much of what a node reports goes into a line of the log.
const maxProblem = 1024

func (s *Server) report(c *call) (any, error) {
	rep, err := nodelink.Decode[nodelink.Report](c.body)
	if err != nil {
		return nil, refuse(http.StatusUnprocessableEntity, "report: %v", err)
	}
	if rep.Node != c.args.name() {
		return nil, refuseValues(http.StatusUnprocessableEntity, "report", []wire.Mistake{{Field: "node", Value: rep.Node, Problem: "that is not the node of the path"}})
	}
	if n := len(rep.NICs); n > nodelink.MaxStatuses {
		return nil, refuseValues(http.StatusUnprocessableEntity, "report", []wire.Mistake{{Field: "nics", Value: strconv.Itoa(n), Problem: fmt.Sprintf("at most %d go into one report", nodelink.MaxStatuses)}})
	}
	for _, p := range rep.Problems[:min(len(rep.Problems), nodelink.MaxProblems)] {
		if len(p) > maxProblem {
			p = p[:maxProblem]
		}
		s.log.Warn("a node reports a problem", "node", rep.Node, "problem", p)
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), s.work)
	defer cancel()
	return struct{}{}, s.replica.Report(ctx, rep)
}

// stream says a node's set, and its changes, until the node goes.
func (s *Server) stream(c *call) (any, error) {
	st, err := s.replica.Stream(c.r.Context(), c.args.name(), control.Position{
		Generation: int64(c.args.number("generation", 0)), Digest: c.args.text("digest"),
	})
	if err != nil {
		return nil, err
	}
	defer st.Close()
	s.log.Info("node connected", "node", c.args.name(), "from", c.r.RemoteAddr)
	err = s.lines(c, func(ctx context.Context) ([][]byte, error) {
		msg, err := st.Next(ctx)
		if msg == nil || err != nil {
			return nil, err
		}
		line, err := nodelink.Encode(msg)
		return [][]byte{line}, err
	})
	s.log.Info("node disconnected", "node", c.args.name(), "from", c.r.RemoteAddr, "err", err)
	return nil, nil
}
