package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/berth-net/berth/internal/nic"
)

func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.node.Status(r.Context()); err != nil {
		return err
	}
	return writeJSON(w, map[string]string{"status": "ok"})
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	st, err := s.node.Status(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, st)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) error {
	keep, err := parseFilter(r)
	if err != nil {
		return err
	}
	nics, err := s.node.NICs(r.Context())
	if err != nil {
		return err
	}
	kept := []NIC{} // an empty list is [], not null
	for _, n := range nics {
		if keep.match(n) {
			kept = append(kept, n)
		}
	}
	return writeJSON(w, kept)
}

// filter selects NICs; what is nil or zero selects all.
type filter struct {
	mac  *nic.MAC
	addr netip.Addr
}

func parseFilter(r *http.Request) (f filter, err error) {
	query := r.URL.Query()
	if query.Has("mac") {
		m, err := nic.ParseMAC(query.Get("mac"))
		if err != nil {
			return f, refuse(http.StatusBadRequest, "mac: %v", err)
		}
		f.mac = &m
	}
	if query.Has("address") {
		if f.addr, err = netip.ParseAddr(query.Get("address")); err != nil {
			return f, refuse(http.StatusBadRequest, "address: %q is not an IP address", query.Get("address"))
		}
		f.addr = f.addr.Unmap()
	}
	return f, nil
}

func (f filter) match(n NIC) bool {
	if f.mac != nil && (n.MAC == nil || *n.MAC != *f.mac) {
		return false
	}
	return !f.addr.IsValid() || n.has(f.addr)
}

// has reports whether an address is the NIC's own, also one that its guest made
// in a prefix that is wholly the NIC's.
func (n *NIC) has(a netip.Addr) bool {
	is := func(p netip.Prefix) bool { return p.Addr() == a }
	contains := func(p netip.Prefix) bool { return p.Contains(a) }
	return slices.ContainsFunc(n.Addresses, is) || slices.ContainsFunc(n.SLAAC, contains) || slices.ContainsFunc(n.Delegated, contains)
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) error {
	n, err := s.node.NIC(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, n)
}

func (s *Server) set(w http.ResponseWriter, r *http.Request) error {
	dry, err := parseBool(r, "dry-run")
	if err != nil {
		return err
	}
	wait, err := parseDuration(r, "wait")
	if err != nil {
		return err
	}
	if dry && wait > 0 {
		return refuse(http.StatusBadRequest, "dry-run changes nothing to wait for")
	}
	doc, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	change, err := s.node.Set(r.Context(), name, doc, SetOptions{DryRun: dry})
	if !dry {
		s.audit(r, "set", change, err)
	}
	if err != nil {
		return err
	}
	if wait > 0 && (change.Now == nil || change.Now.State != InForce) {
		now, err := s.await(w, r, wait)
		if err != nil {
			return writeTimeout(w, now, fmt.Errorf("%s is declared, but: %w", name, err))
		}
		change.Now = &now
	}
	return writeJSON(w, change)
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request) error {
	change, err := s.node.Delete(r.Context(), r.PathValue("name"))
	s.audit(r, "delete", change, err)
	if err != nil {
		return err
	}
	return writeJSON(w, change)
}

func (s *Server) release(w http.ResponseWriter, r *http.Request) error {
	change, err := s.node.Release(r.Context(), r.PathValue("name"))
	s.audit(r, "release", change, err)
	if err != nil {
		return err
	}
	return writeJSON(w, change)
}

// audit notes who asked for a change; what changed is the agent's to log, which
// gets the actor in its context.
func (s *Server) audit(r *http.Request, verb string, change Change, err error) {
	attrs := []any{"verb", verb, "nic", r.PathValue("name"), "changed", change.Changed}
	if actor, ok := ActorFrom(r.Context()); ok {
		attrs = append(attrs, "actor", actor.String())
	}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	s.log.InfoContext(r.Context(), "socket request", attrs...)
}

func (s *Server) wait(w http.ResponseWriter, r *http.Request) error {
	timeout, err := parseDuration(r, "timeout")
	if err != nil {
		return err
	}
	if timeout == 0 {
		return refuse(http.StatusBadRequest, "timeout is missing, such as timeout=10s")
	}
	n, err := s.await(w, r, timeout)
	if err != nil {
		return writeTimeout(w, n, err)
	}
	return writeJSON(w, n)
}

// await waits until the NIC is in force. Its error says why it is not.
func (s *Server) await(w http.ResponseWriter, r *http.Request, timeout time.Duration) (NIC, error) {
	s.deadline(w, timeout+s.slow)
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	n, err := s.node.Wait(ctx, r.PathValue("name"))
	if err == nil || (!errors.Is(err, ErrTimeout) && !errors.Is(err, context.DeadlineExceeded)) {
		return n, err
	}
	return n, &lateError{fmt.Sprintf("%s is not in force after %s: %s", r.PathValue("name"), timeout, whyNot(n))}
}

// lateError is an ErrTimeout that says what was waited for.
type lateError struct{ detail string }

func (e *lateError) Error() string        { return e.detail }
func (e *lateError) Is(target error) bool { return target == ErrTimeout }

func whyNot(n NIC) string {
	switch {
	case n.Name == "":
		return "it is not declared"
	case n.Why != "":
		return fmt.Sprintf("%s (%s)", n.State, n.Why)
	case n.Reason.Text() != "":
		return fmt.Sprintf("%s (%s)", n.State, n.Reason.Text())
	}
	return string(n.State)
}

// writeTimeout adds the NIC's last state to the problem: who waited wants to
// know what for.
func writeTimeout(w http.ResponseWriter, n NIC, err error) error {
	if !errors.Is(err, ErrTimeout) {
		return err
	}
	p := problemOf(err)
	if n.Name != "" {
		p.NIC = &n
	}
	return write(w, p.Status, "application/problem+json", p)
}

func (s *Server) plan(w http.ResponseWriter, r *http.Request) error {
	return s.writePlan(w, r, nil)
}

func (s *Server) planFor(w http.ResponseWriter, r *http.Request) error {
	doc, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	return s.writePlan(w, r, doc)
}

func (s *Server) writePlan(w http.ResponseWriter, r *http.Request, doc []byte) error {
	p, err := s.node.Plan(r.Context(), doc)
	if err != nil {
		return err
	}
	// Empty lists are [], not null.
	p.Steps, p.Waits = append([]string{}, p.Steps...), append([]string{}, p.Waits...)
	return writeJSON(w, p)
}

func parseBool(r *http.Request, key string) (bool, error) {
	if !r.URL.Query().Has(key) {
		return false, nil
	}
	switch v := r.URL.Query().Get(key); v {
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	default:
		return false, refuse(http.StatusBadRequest, "%s: %q is neither 1 nor 0", key, v)
	}
}

func parseDuration(r *http.Request, key string) (time.Duration, error) {
	v := r.URL.Query().Get(key)
	if !r.URL.Query().Has(key) {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 || d > MaxWait {
		return 0, refuse(http.StatusBadRequest, "%s: %q is not a duration above 0 and up to %s, such as 10s", key, v, MaxWait)
	}
	return d, nil
}

func parseSeq(r *http.Request) (uint64, error) {
	v := r.URL.Query().Get("since")
	if v == "" && !r.URL.Query().Has("since") {
		return 0, nil
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "since: %q is not the number of an event", v)
	}
	return n, nil
}
