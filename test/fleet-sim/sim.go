package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/rest/client"
)

// sim is the agent of one node, with everything in force at once. It keeps what
// identifies its documents, and not what is in them: a million would not fit.
type sim struct {
	node   string
	api    *client.Client
	mirror *nodelink.Mirror
	full   chan struct{} // closed when it has everything
}

// message is a document that has come to a node.
type message struct {
	nic      string // the controller's name
	revision int64
	at       time.Time
}

// atOnce is how many nodes connect at a time.
const atOnce = 8

// connect enrols the simulated nodes, and waits until each has everything.
func (s *site) connect(ctx context.Context) error {
	var live context.Context
	live, s.leave = context.WithCancel(ctx)
	s.simulated, live = errgroup.WithContext(live)
	coming, ctx := errgroup.WithContext(ctx)
	coming.SetLimit(atOnce)
	for i := range s.nodes {
		coming.Go(func() error {
			m, err := s.newSim(ctx, simName(i))
			if err != nil {
				return err
			}
			s.simulated.Go(func() error { return m.run(live, s.heard) })
			select {
			case <-m.full:
				return nil
			case <-live.Done():
				return fmt.Errorf("node %s has not got everything", m.node)
			}
		})
	}
	return coming.Wait()
}

func (s *site) newSim(ctx context.Context, node string) (*sim, error) {
	dir := s.file(node)
	if err := s.enrol(ctx, node, dir); err != nil {
		return nil, err
	}
	pair, err1 := tls.LoadX509KeyPair(filepath.Join(dir, "node.crt"), filepath.Join(dir, "node.key"))
	ca, err2 := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	c, err := client.New(client.Options{URL: url, CA: ca, Certificate: &pair})
	return &sim{node: node, api: c, mirror: nodelink.NewMirror(node), full: make(chan struct{})}, err
}

// run follows the controller until ctx ends.
func (m *sim) run(ctx context.Context, heard chan<- message) error {
	body, err := m.api.Stream(ctx, m.node, 0, "")
	if err != nil {
		return err
	}
	defer body.Close()
	for in := bufio.NewReader(body); ; {
		line, err := in.ReadBytes('\n')
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("node %s: %w", m.node, err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := m.hear(ctx, line, heard); err != nil && ctx.Err() == nil {
			return fmt.Errorf("node %s: %w", m.node, err)
		}
	}
}

// hear takes one message, tells when it had it, and reports it in force.
func (m *sim) hear(ctx context.Context, line []byte, heard chan<- message) error {
	msg, err := nodelink.Decode[nodelink.Message](line)
	if err != nil {
		return err
	}
	c, err := m.mirror.Apply(msg)
	if err != nil {
		return err
	}
	now := time.Now()
	for i := range c.Set {
		if msg.Full {
			break
		}
		select {
		case heard <- message{c.Set[i].Name, c.Set[i].Revision, now}:
		case <-ctx.Done():
		}
	}
	if msg.Full {
		defer close(m.full)
	}
	return m.report(ctx, c.Set, now)
}

func (m *sim) report(ctx context.Context, set []nodelink.Document, now time.Time) error {
	at := m.mirror.Position()
	for {
		r := nodelink.Report{Node: m.node, Epoch: at.Epoch, Generation: at.Generation, Digest: at.Digest, Version: "simulated", Kernel: "none"}
		part := set[:min(len(set), nodelink.MaxStatuses)]
		set = set[len(part):]
		for i := range part {
			r.NICs = append(r.NICs, fleet.Status{
				NIC: part[i].Name, Node: m.node, State: "in-force", Since: now.UTC(), Reported: now.UTC(), Revision: part[i].Revision, Checked: true,
			})
		}
		line, err := nodelink.Encode(&r)
		if err == nil {
			err = m.api.Report(ctx, m.node, line)
		}
		if err != nil || len(set) == 0 {
			return err
		}
	}
}
