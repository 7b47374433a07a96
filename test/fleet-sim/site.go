package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/source/controller"
)

const (
	url     = "https://127.0.0.1:7443"
	project = "load"
	network = "lan"
	// real is the node that is a berthd.
	real = "real"
)

// site is a controller with its nodes.
type site struct {
	*task
	controller *process
	berthd     *process
	api        *client.Client
	simulated  *errgroup.Group
	leave      context.CancelFunc
	heard      chan message
}

func newSite(ctx context.Context, t *task) (*site, error) {
	s := &site{task: t, heard: make(chan message, 1024)}
	conf := fmt.Sprintf("data: %s\nlisten: 127.0.0.1:7443\nnames: [127.0.0.1]\nurls: [%q]\nsocket: {path: %s}\nlog: {level: warn}\n",
		t.file("data"), url, t.file("controller.sock"))
	if err := errors.Join(os.MkdirAll(t.dir, 0o700), os.WriteFile(t.file("controller.yaml"), []byte(conf), 0o600)); err != nil {
		return nil, err
	}
	var err error
	if s.api, err = client.New(client.Options{URL: "unix:" + t.file("controller.sock")}); err != nil {
		return nil, err
	}
	return s, s.startController(ctx)
}

// startController returns when it knows the site.
func (s *site) startController(ctx context.Context) (err error) {
	s.controller, err = start(s.file("controller.log"), s.bin+"/berth-controller", "-config", s.file("controller.yaml"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if _, err = s.api.Ready(ctx); err == nil {
			return nil
		}
		wait(ctx, 100*time.Millisecond)
	}
	return fmt.Errorf("the controller does not come up; see %s: %w", s.controller.log.Name(), err)
}

// restart ends the simulated nodes, and returns the seconds that the controller
// then takes to start over what it has kept.
func (s *site) restart(ctx context.Context) (float64, error) {
	if err := errors.Join(s.end(), s.controller.stop()); err != nil {
		return 0, err
	}
	begin := time.Now()
	err := s.startController(ctx)
	return time.Since(begin).Seconds(), err
}

// end takes the simulated nodes away.
func (s *site) end() error {
	if s.simulated == nil {
		return nil
	}
	s.leave()
	err := s.simulated.Wait()
	s.simulated = nil
	return err
}

func (s *site) stop() error {
	return errors.Join(s.end(), s.berthd.stop(), s.controller.stop())
}

func (s *site) put(ctx context.Context, r fleet.Resource, o client.WriteOptions) (client.Written, error) {
	doc, err := json.Marshal(r)
	if err != nil {
		return client.Written{}, err
	}
	w, err := s.api.Put(ctx, r.Header().Kind, r.Header().Name, doc, o)
	if err != nil {
		return w, fmt.Errorf("%s %s: %w", r.Header().Kind, r.Header().Name, err)
	}
	return w, nil
}

// together is how many NICs one request has: a document has at most 4,096 keys.
const together = 500

// asking is how many requests are under way: the controller decides one after the
// other, and reads and answers others meanwhile.
const asking = 3

// fill declares all NICs, of each node in requests of its own.
func (s *site) fill(ctx context.Context) error {
	nodes := []string{real}
	for i := range s.nodes {
		nodes = append(nodes, simName(i))
	}
	if err := s.ground(ctx, nodes); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(asking)
	for _, node := range nodes {
		for first := 0; first < s.nics; first += together {
			g.Go(func() error {
				_, err := s.put(ctx, request(node, first, min(first+together, s.nics)), client.WriteOptions{})
				return err
			})
		}
	}
	return g.Wait()
}

// ground is what NICs need.
func (s *site) ground(ctx context.Context, nodes []string) error {
	all := []fleet.Resource{
		&fleet.Project{Head: fleet.Head{Kind: fleet.KindProject, Name: project}},
		&fleet.Network{
			Head: fleet.Head{Kind: fleet.KindNetwork, Name: network}, Projects: []string{"*"}, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			Defaults: map[string]any{"gateway": "10.255.255.254", "dns": []string{"10.255.255.253"}},
		},
		&fleet.Pool{Head: fleet.Head{Kind: fleet.KindPool, Name: "all"}, Network: network, Default: true, Ranges: []fleet.Range{{First: netip.MustParseAddr("10.0.0.1"), Last: netip.MustParseAddr("10.200.255.255")}}},
	}
	for _, n := range nodes {
		all = append(all, &fleet.Node{Head: fleet.Head{Kind: fleet.KindNode, Name: n}})
	}
	for _, r := range all {
		if _, err := s.put(ctx, r, client.WriteOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func simName(i int) string { return fmt.Sprintf("sim-%04d", i) }

func nicName(node string, i int) string { return fmt.Sprintf("%s-%05d", node, i) }

func tapName(i int) string { return fmt.Sprintf("tap%d", i) }

// request is one VM's for each NIC.
func request(node string, first, end int) *fleet.Request {
	r := &fleet.Request{Head: fleet.Head{Kind: fleet.KindRequest, Name: nicName(node, first)}, Project: project}
	for i := first; i < end; i++ {
		name := nicName(node, i)
		n := fleet.NIC{Head: fleet.Head{Name: name}, Network: network, Node: node, Interface: tapName(i)}
		r.VMs = append(r.VMs, fleet.VM{Name: name, NICs: []fleet.NIC{n}})
	}
	return r
}

// enrol makes a directory of the node's credentials.
func (s *site) enrol(ctx context.Context, node, dir string) error {
	token, err := s.api.NodeToken(ctx, node)
	if err != nil {
		return err
	}
	_, err = controller.Enrol(ctx, dir, url, token.Token)
	return err
}
