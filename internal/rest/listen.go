package rest

import (
	"net"
	"sync"
)

// What clients can hold open: each node has a few connections. Of one host only a
// part, before it has said who it is: it must not keep the nodes out.
const (
	maxConns   = 16384
	maxOfAHost = maxConns / 8
)

// Limit bounds how many connections of a listener are open at a time. Further
// ones wait to be accepted; those of a host that has its part are closed.
func Limit(l net.Listener) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, maxConns), done: make(chan struct{}), hosts: crowd{most: maxOfAHost, here: map[string]int{}}}
}

type limited struct {
	net.Listener
	slots chan struct{}
	hosts crowd
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
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.slots
			return nil, err
		}
		from := host(c.RemoteAddr().String())
		if l.hosts.enter(from) {
			return &counted{Conn: c, free: sync.OnceFunc(func() { l.hosts.leave(from); <-l.slots })}, nil
		}
		_ = c.Close() // nothing was sent yet
	}
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
