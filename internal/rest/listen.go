package rest

import (
	"net"
	"sync"
)

// maxConns bounds what clients can hold open: each node has a few.
const maxConns = 16384

// Limit bounds how many connections of a listener are open at a time; further
// ones wait to be accepted.
func Limit(l net.Listener) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, maxConns), done: make(chan struct{})}
}

type limited struct {
	net.Listener
	slots chan struct{}
	once  sync.Once
	done  chan struct{}
}

// Accept waits for a free slot and a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &counted{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

// Close stops listening.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

// counted frees its slot when it is closed.
type counted struct {
	net.Conn
	free func()
}

// Close closes the connection.
func (c *counted) Close() error {
	defer c.free()
	return c.Conn.Close()
}
