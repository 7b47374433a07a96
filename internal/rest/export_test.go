package rest

import "time"

// Hurry has a server lose patience soon.
func (s *Server) Hurry(alive, slow, body time.Duration) { s.alive, s.slow, s.body = alive, slow, body }

// Rush sets how long it may take to decide.
func (s *Server) Rush(work time.Duration) { s.work = work }
