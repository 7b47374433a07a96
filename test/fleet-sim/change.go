package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

// enough is how long one change may take.
const enough = 30 * time.Second

// changeSimulated changes NICs of the simulated nodes, one after the other.
func (s *site) changeSimulated(ctx context.Context, r *result) error {
	var message, answer []time.Duration
	for i := range s.changes {
		if s.nodes == 0 {
			break
		}
		n := s.nic(simName(rand.IntN(s.nodes)), rand.IntN(s.nics), fmt.Sprintf("host-%d", i))
		begin := time.Now()
		w, err := s.put(ctx, n, client.WriteOptions{})
		if err != nil {
			return err
		}
		answer = append(answer, time.Since(begin))
		at, err := s.received(ctx, n.Name, w.Revision)
		if err != nil {
			return err
		}
		message = append(message, at.Sub(begin))
		wait(ctx, time.Duration(s.everyMilliseconds)*time.Millisecond)
	}
	r.Message, r.Answer = timesOf(message), timesOf(answer)
	return nil
}

// nic is one as fill has declared it, but for its host name.
func (s *site) nic(node string, i int, hostname string) *fleet.NIC {
	name := nicName(node, i)
	return &fleet.NIC{
		Head: fleet.Head{Kind: fleet.KindNIC, Name: name}, Project: project, Network: network,
		Node: node, Interface: tapName(i), VM: name, Hostname: hostname,
	}
}

// received is when a node had a NIC's document of a revision.
func (s *site) received(ctx context.Context, nic string, revision int64) (time.Time, error) {
	limit := time.NewTimer(enough)
	defer limit.Stop()
	for {
		select {
		case m := <-s.heard:
			if m.nic == nic && m.revision >= revision {
				return m.at, nil
			}
		case <-limit.C:
			return time.Time{}, fmt.Errorf("revision %d of %s has not come to its node", revision, nic)
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		}
	}
}

// startReal starts a berthd with links for some of its NICs, and waits until they
// are in force.
func (s *site) startReal(ctx context.Context) error {
	s.links = min(s.links, s.nics)
	for i := range s.links {
		a := netlink.NewLinkAttrs()
		a.Name, a.Flags = tapName(i), 1 // IFF_UP
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: a, PeerName: fmt.Sprintf("guest%d", i)}); err != nil {
			return fmt.Errorf("add %s: %w", a.Name, err)
		}
	}
	conf := fmt.Sprintf("nics: %s\nnetworks: %s\nstate: %s\nbpf: /sys/fs/bpf/sim\nsocket: {path: %s}\nhooks: %s\nlog: {level: warn}\n",
		s.file("nics"), s.file("networks.yaml"), s.file("state"), s.file("berthd.sock"), s.file("hooks"))
	err := errors.Join(os.MkdirAll(s.file("nics"), 0o700), os.MkdirAll(s.file("state"), 0o700), os.WriteFile(s.file("berthd.yaml"), []byte(conf), 0o600))
	if err == nil {
		err = s.enrol(ctx, real, s.file("state/controller"))
	}
	if err == nil {
		s.berthd, err = start(s.file("berthd.log"), s.bin+"/berthd", "-config", s.file("berthd.yaml"))
	}
	if err != nil {
		return err
	}
	local := api.NewClient(s.file("berthd.sock"))
	for limit := time.Now().Add(10 * time.Minute); time.Now().Before(limit) && ctx.Err() == nil; wait(ctx, 500*time.Millisecond) {
		if st, err := local.Status(ctx); err == nil && st.NICs[api.InForce] == s.links {
			return s.hardened(ctx, local)
		}
	}
	return fmt.Errorf("its NICs do not come into force; see %s", s.berthd.log.Name())
}

// hardened waits until berthd has nothing more to do.
func (s *site) hardened(ctx context.Context, local *api.Client) error {
	for ctx.Err() == nil {
		p, err := local.Plan(ctx, nil)
		if err != nil || len(p.Steps) == 0 {
			return err
		}
		wait(ctx, 500*time.Millisecond)
	}
	return ctx.Err()
}

// changeReal changes the address of NICs of the real node.
func (s *site) changeReal(ctx context.Context, r *result) error {
	var kernel, confirmed []time.Duration
	local := api.NewClient(s.file("berthd.sock"))
	for i := range s.changes {
		if s.links == 0 {
			break
		}
		n := s.nic(real, rand.IntN(s.links), "")
		addr := netip.AddrFrom4([4]byte{10, 250, byte(i >> 8), byte(i)})
		n.Addresses = []string{addr.String()}
		begin := time.Now()
		answered := make(chan error, 1)
		go func() {
			w, err := s.put(ctx, n, client.WriteOptions{Wait: enough})
			if err == nil && (len(w.Status) == 0 || w.Status[0].State != "in-force") {
				text, _ := json.Marshal(w.Status)
				err = fmt.Errorf("%s is not in force: %s", n.Name, text)
			}
			if err == nil {
				confirmed = append(confirmed, time.Since(begin))
			}
			answered <- err
		}()
		took, err := inKernel(ctx, local, n.Interface, addr, begin)
		if err = errors.Join(<-answered, err); err != nil {
			return err
		}
		kernel = append(kernel, took)
		wait(ctx, time.Duration(s.everyMilliseconds)*time.Millisecond)
	}
	r.Kernel, r.Confirmed = timesOf(kernel), timesOf(confirmed)
	return nil
}

// inKernel asks berthd, which reads the kernel's tables, until an address is a
// NIC's permitted source.
func inKernel(ctx context.Context, local *api.Client, iface string, addr netip.Addr, begin time.Time) (time.Duration, error) {
	for limit := begin.Add(enough); time.Now().Before(limit) && ctx.Err() == nil; wait(ctx, time.Millisecond) {
		n, err := local.NIC(ctx, iface)
		if err != nil {
			return 0, err
		}
		took := time.Since(begin)
		if n.Installed != nil && slices.ContainsFunc(n.Installed.Sources, func(p netip.Prefix) bool { return p.Addr() == addr }) {
			return took, nil
		}
	}
	return 0, fmt.Errorf("%s is not in the kernel for %s", addr, iface)
}

func timesOf(all []time.Duration) times {
	if len(all) == 0 {
		return times{}
	}
	slices.Sort(all)
	at := func(percent int) float64 { return all[min(len(all)-1, len(all)*percent/100)].Seconds() * 1000 }
	return times{Count: len(all), P50: at(50), P99: at(99), Max: at(100)}
}
