package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/berth-net/berth/internal/api"
)

// absence is a controller that is killed, and what goes on without it.
func (e *estate) absence() error {
	e.heading("18 The controller is killed (SIGKILL)")
	standing, err := e.standing()
	if err != nil {
		return err
	}
	e.controller.stop(syscall.SIGKILL)
	_, code, err := e.quietly(alice, "berth get nics")
	if err != nil {
		return err
	}
	e.fact("exit code without a controller", code, 6)
	db0, db1 := e.vms[0], e.vms[1]
	if err := e.renewWithout(db1); err != nil {
		return err
	}
	e.line("berthd of n2 is killed too, and started again with nobody to ask:")
	e.nodes[1].kill()
	if err := e.nodes[1].start(); err != nil {
		return e.explain(err)
	}
	if err := e.bootWithout(db0); err != nil {
		return err
	}
	for _, v := range []*vm{db0, db1} {
		if err := e.renewWithout(v); err != nil {
			return err
		}
	}
	if err := e.startController(); err != nil {
		return err
	}
	return e.backAgain(standing)
}

// standing is every NIC as its node has it: name, state, and of this node only
// what does not change when berthd is started.
func (e *estate) standing() (map[string]string, error) {
	all := map[string]string{}
	for _, m := range e.nodes {
		nics, err := m.client.NICs(e.ctx)
		if err != nil {
			return nil, e.explain(err)
		}
		for _, n := range nics {
			all[m.name+" "+n.Name] = fmt.Sprintf("%s %v %v", n.State, n.MAC, n.Addresses)
		}
	}
	return all, nil
}

// renewWithout has a VM renew, and holds its leases to be as they were.
func (e *estate) renewWithout(v *vm) error {
	before, duid, err := e.leases(v)
	if err != nil {
		return err
	}
	started := time.Now()
	var renewed []string
	for _, f := range families() {
		if v.clients[f].tool == "dhclient" {
			continue // it renews when it is time, and nobody makes it
		}
		if err := e.renewed(ask{v, f}); err != nil {
			return e.explain(err)
		}
		renewed = append(renewed, before[f].Address)
	}
	after, now, err := e.leases(v)
	e.fact("what "+v.name+" has, renewed without the controller", fmt.Sprint(after, now), fmt.Sprint(before, duid))
	e.line("%s renews %s, after %.1f s", v.name, strings.Join(renewed, " and "), time.Since(started).Seconds())
	return err
}

// bootWithout has another client ask in a VM as one that boots does.
func (e *estate) bootWithout(v *vm) error {
	want, err := e.own(v)
	if err != nil {
		return err
	}
	told, err := e.asksAnew(v)
	e.fact("what "+v.name+" is told without the controller", told, want)
	e.line("%s asks as if it booted: %s", v.name, told)
	return err
}

// backAgain shows that a controller which is back changes nothing.
func (e *estate) backAgain(before map[string]string) error {
	err := e.until(30*time.Second, "the nodes to be connected again", func() bool {
		return !slices.ContainsFunc(e.nodes, func(m *member) bool { return !e.connected(m) })
	})
	if err != nil {
		return e.explain(err)
	}
	for _, v := range e.vms {
		if err := e.waitInForce(v); err != nil {
			return err
		}
	}
	after, err := e.standing()
	if err != nil {
		return err
	}
	e.fact("the NICs of both nodes, with the controller again", after, before)
	var pending []string
	for _, m := range e.nodes {
		plan, err := m.client.Plan(e.ctx, nil)
		if err != nil {
			return e.explain(err)
		}
		pending = append(pending, plan.Steps...)
	}
	e.fact("steps to do after the controller is back", len(pending), 0)
	inForce := 0
	for _, s := range after {
		if strings.HasPrefix(s, string(api.InForce)+" ") {
			inForce++
		}
	}
	e.fact("NICs in force at the end", inForce, len(e.vms))
	e.line("It is started again: both nodes are back, %d NICs in force as before, %d steps to do.", inForce, len(pending))
	return nil
}
