package claims_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
)

// tries is how often a client asks before it gives up, and the outcome is one
// that is not known.
const tries = 12

// door is how one replica is asked: over its unix socket.
type door struct{ http.Client }

func newDoor(socket string) *door {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &door{http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: 15 * time.Second}}
}

// outcome is what a client knows in the end.
type outcome int

const (
	done    outcome = iota
	refused         // nothing was changed
	gone            // there is nothing to delete
	unknown
)

// ask makes one request. Only an answer tells what came of it.
func (d *door) ask(method, path string, body []byte) (outcome, answer, string) {
	req, err := http.NewRequest(method, "http://controller"+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.Do(req)
	if err != nil {
		return unknown, answer{}, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return unknown, answer{}, err.Error()
	}
	switch {
	case resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated:
		var a answer
		if err := json.Unmarshal(data, &a); err != nil {
			return unknown, answer{}, err.Error()
		}
		return done, a, ""
	case resp.StatusCode == http.StatusNotFound:
		return gone, answer{}, string(data)
	case resp.StatusCode >= 500:
		return unknown, answer{}, string(data)
	default:
		return refused, answer{}, string(data)
	}
}

// parsePath is the kind and the name in "/v1/nics/web-1".
func parsePath(path string) (fleet.Kind, string) {
	parts := strings.Split(strings.TrimPrefix(path, "/v1/"), "/")
	for _, k := range fleet.Kinds() {
		if k.Plural() == parts[0] && len(parts) == 2 {
			return k, parts[1]
		}
	}
	return "", ""
}

func pathOf(kind fleet.Kind, name string) string { return "/v1/" + kind.Plural() + "/" + name }

// group is what a client wrote at once: one NIC, or a request for several.
type group struct {
	kind  fleet.Kind
	name  string
	exact map[string]netip.Addr // asked for, by NIC
	nics  []string
	state outcome // done: it is there; gone; refused: it never was; unknown
	has   map[string]netip.Addr
}

// client is one of many, with what it owns.
type client struct {
	t       testing.TB
	number  int
	rng     *rand.Rand
	doors   []*door
	store   *etcd.Store
	history *history
	groups  []*group
	counts  map[string]int
	wrong   []string // what it was told that cannot be
}

// work goes on until the context ends.
func (c *client) work(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		if held := c.held(); len(held) > 0 && c.rng.IntN(100) < 30+len(held) {
			c.giveBack(held[c.rng.IntN(len(held))])
			continue
		}
		c.get(c.wish(n))
	}
}

func (c *client) held() []*group {
	var out []*group
	for _, g := range c.groups {
		if g.state == done {
			out = append(out, g)
		}
	}
	return out
}

// wish invents what to ask for: a NIC from the pool, one with an address that
// others want too, or several VMs of which one may.
func (c *client) wish(n int) *group {
	g := &group{kind: fleet.KindNIC, name: fmt.Sprintf("c%02d-%d", c.number, n), exact: map[string]netip.Addr{}, has: map[string]netip.Addr{}}
	g.nics = []string{g.name}
	dice := c.rng.IntN(100)
	if dice < 30 {
		g.kind, g.nics = fleet.KindRequest, nil
		for i := range 2 + c.rng.IntN(4) {
			g.nics = append(g.nics, fmt.Sprintf("%s-%d", g.name, i))
		}
	}
	if dice < 15 || dice >= 80 {
		g.exact[g.nics[c.rng.IntN(len(g.nics))]] = c.coveted()
	}
	return g
}

// coveted is an address that the pool gives early, or one of a few far in it.
func (c *client) coveted() netip.Addr {
	if c.rng.IntN(2) == 0 {
		return netip.AddrFrom4([4]byte{10, 0, 0, byte(2 + c.rng.IntN(200))})
	}
	return netip.AddrFrom4([4]byte{10, 0, 12, byte(c.rng.IntN(40))})
}

func (c *client) project() string { return fmt.Sprintf("p%d", c.number%8) }

// body is the document of the group.
func (c *client) body(g *group) []byte {
	one := func(i int) map[string]any {
		name := g.nics[i]
		nic := map[string]any{"name": name, "network": "lab", "node": fmt.Sprintf("n%d", i%4), "interface": "t" + strings.ReplaceAll(name, "-", "x")}
		if a, ok := g.exact[name]; ok {
			nic["addresses"] = []string{a.String()}
		}
		return nic
	}
	doc := map[string]any{"kind": g.kind, "name": g.name, "project": c.project()}
	if g.kind == fleet.KindNIC {
		for k, v := range one(0) {
			doc[k] = v
		}
	} else {
		var vms []any
		for i := range g.nics {
			vms = append(vms, map[string]any{"name": fmt.Sprintf("%s-vm%d", g.name, i), "nics": []any{one(i)}})
		}
		doc["vms"] = vms
	}
	data, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return data
}

// ask asks one replica after the other until one answers; certain is whether
// none of those that did not could have done something.
func (c *client) ask(method string, g *group, body []byte) (outcome, answer, bool) {
	certain := true
	for i := range tries {
		got, a, text := c.doors[c.rng.IntN(len(c.doors))].ask(method, pathOf(g.kind, g.name), body)
		if got != unknown {
			c.counts[fmt.Sprintf("%s %s %s", method, g.kind, [...]string{"done", "refused", "gone"}[got])]++
			return got, a, certain
		}
		certain = false
		c.counts["asked again"]++
		if i == tries-1 {
			c.t.Logf("client %d gives up on %s %s: %s", c.number, method, g.name, text)
		}
		time.Sleep(time.Duration(20+c.rng.IntN(100<<min(i, 3))) * time.Millisecond)
	}
	c.counts[fmt.Sprintf("%s %s unknown", method, g.kind)]++
	return unknown, answer{}, false
}

// get asks for a group, and records what was granted.
func (c *client) get(g *group) {
	call := c.history.now()
	got, a, _ := c.ask(http.MethodPut, g, c.body(g))
	end := c.history.now()
	if g.state = got; got == done {
		if err := c.read(g, a); err != nil {
			c.wrong = append(c.wrong, fmt.Sprintf("%s: %v", g.name, err))
		}
		for _, address := range g.has {
			c.history.addAt(c.number, call, end, step{claim, address, g.name, true})
		}
	}
	if got == unknown {
		for _, address := range g.exact {
			c.history.add(c.number, call, step{claim, address, g.name, false})
		}
	}
	c.groups = append(c.groups, g)
}

// giveBack deletes a group. What is gone though nobody else may have deleted
// it was deleted by an earlier try, or else is lost.
func (c *client) giveBack(g *group) {
	call := c.history.now()
	got, _, certain := c.ask(http.MethodDelete, g, nil)
	if got == gone && certain {
		c.wrong = append(c.wrong, fmt.Sprintf("%s %s was granted, and nobody has deleted it, and it is gone", g.kind, g.name))
	}
	if got == refused {
		c.wrong = append(c.wrong, fmt.Sprintf("%s %s cannot be given back", g.kind, g.name))
	}
	g.state = gone
	if got == unknown {
		g.state = unknown
	}
	for _, address := range g.has {
		c.history.add(c.number, call, step{release, address, g.name, got != unknown})
	}
}

// read takes what was granted from the answer, or for a request from its NICs
// as they were at the answer's revision.
func (c *client) read(g *group, a answer) error {
	if g.kind == fleet.KindNIC {
		return g.take(g.name, a.Resource)
	}
	var errs []error
	for _, name := range g.nics {
		key := fleet.ResourceKey(fleet.KindNIC, name)
		found, _, err := c.store.Range(context.Background(), key, key+"\x00", etcd.RangeOptions{Revision: a.Revision})
		switch {
		case err != nil:
			errs = append(errs, err)
		case len(found) == 0:
			errs = append(errs, fmt.Errorf("NIC %s is missing at revision %d", name, a.Revision))
		default:
			errs = append(errs, g.take(name, found[0].Value))
		}
	}
	return errors.Join(errs...)
}

func (g *group) take(name string, data []byte) error {
	var n fleet.NIC
	if err := json.Unmarshal(data, &n); err != nil {
		return err
	}
	if n.Name != name || n.Granted == nil || len(n.Granted.Addresses) != 1 {
		return fmt.Errorf("%s: %s", name, data)
	}
	address := n.Granted.Addresses[0].Addr()
	if want, ok := g.exact[name]; ok && address != want {
		return fmt.Errorf("%s asked for %s and got %s", name, want, address)
	}
	g.has[name] = address
	return nil
}
