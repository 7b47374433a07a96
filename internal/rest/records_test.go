package rest_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

// Who had an address is known for every moment, also after it went to others.
func TestWhoHad(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindNIC, "first", "{project: web, network: lan, node: n1, interface: tap0}")
	between := time.Now()
	if _, err := s.as("op").Delete(t.Context(), fleet.KindNIC, "first", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	nobody := time.Now()
	s.put(fleet.KindNIC, "second", "{project: db, network: lan}")
	for at, want := range map[time.Time]string{between: "nic:first", time.Now(): "nic:second", between.Add(-time.Hour): "", nobody: ""} {
		had, err := s.as("op").WhoHad(t.Context(), addr("192.0.2.10"), "", at)
		if err != nil || len(had) != min(len(want), 1) || want != "" && (had[0].Owner != want || had[0].Actor != "user:op") {
			t.Errorf("at %s: %+v, %v, want %s", at, had, err, want)
		}
	}
	all, err := s.as("op").WhoHad(t.Context(), addr("192.0.2.10"), "lan", time.Time{})
	if err != nil || len(all) != 2 || all[0].Owner != "nic:second" || all[0].To != nil || all[1].To == nil || all[1].Node != "n1" {
		t.Errorf("ever: %+v, %v", all, err)
	}
	mine, err := s.as("alice").WhoHad(t.Context(), addr("192.0.2.10"), "", time.Time{})
	if err != nil || len(mine) != 1 || mine[0].Project != "web" {
		t.Errorf("of alice's projects: %+v, %v", mine, err)
	}
}

// A NIC that is gone comes back with its address and MAC; a network with its
// defaults.
func TestRestore(t *testing.T) {
	s := newSite(t)
	s.furnish()
	op := s.as("op")
	w := s.put(fleet.KindNIC, "a", "{project: web, network: lan, node: n1, interface: tap0, hostname: www}")
	before := decodeAs[fleet.NIC](t, *w.Resource)
	net := s.put(fleet.KindNetwork, "lan", "{prefixes: [192.0.2.0/24], projects: ['*'], defaults: {gateway: 192.0.2.1, mtu: 1400}}")
	s.put(fleet.KindNetwork, "lan", "{prefixes: [192.0.2.0/24], projects: ['*'], defaults: {gateway: 192.0.2.254}}")
	if _, err := op.Delete(t.Context(), fleet.KindNIC, "a", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	d, err := op.Diff(t.Context(), fmt.Sprint(w.Revision), "")
	if err != nil || len(d.Edits) != 2 {
		t.Errorf("%d differences, %v", len(d.Edits), err)
	}
	for _, e := range d.Edits {
		if e.Kind == fleet.KindNIC && (e.Before == nil || e.After != nil) {
			t.Errorf("the NIC: %s to %s", e.Before, e.After)
		}
	}
	if _, err := op.Restore(t.Context(), wire.Restore{Kind: fleet.KindNIC, Name: "a", Revision: w.Revision - 1}, client.WriteOptions{}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("to before it was: %v", err)
	}
	back, err := op.Restore(t.Context(), wire.Restore{Kind: fleet.KindNIC, Name: "a", Revision: net.Revision}, client.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	after := decodeAs[fleet.NIC](t, *back.Resource)
	if after.Granted.MAC != before.Granted.MAC || after.Granted.Addresses[0] != before.Granted.Addresses[0] || after.Hostname != "www" || after.Node != "n1" {
		t.Errorf("restored: %+v %+v, was %+v", after, after.Granted, before.Granted)
	}
	again, err := op.Restore(t.Context(), wire.Restore{Kind: fleet.KindNetwork, Name: "lan", Revision: net.Revision}, client.WriteOptions{})
	if err != nil || !again.Changed || fmt.Sprint(decodeAs[fleet.Network](t, *again.Resource).Defaults["mtu"]) != "1400" {
		t.Errorf("the network: %+v, %v", again, err)
	}
	h, err := op.History(t.Context(), client.HistoryQuery{Limit: 1})
	if err != nil || len(h) != 1 || h[0].Action != "restore" {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := s.as("alice").Restore(t.Context(), wire.Restore{Kind: fleet.KindNetwork, Name: "lan", Revision: 1}, client.WriteOptions{}); status(err) != http.StatusForbidden {
		t.Errorf("by a user: %v", err)
	}
}

// A policy refuses with its own words, names itself, and both answers are kept.
func TestPolicyRefuses(t *testing.T) {
	s := newSite(t)
	s.furnish()
	s.put(fleet.KindPolicy, "small", `{rules: [{name: few, effect: deny, when: "size(request.vms) > 1", message: "'no more than one machine, ' + identity.name"}]}`)
	const two = `{project: web, vms: [{name: x, nics: [{network: lan}]}, {name: y, nics: [{network: lan}]}]}`
	_, err := s.as("alice").Put(t.Context(), fleet.KindRequest, "r", []byte(two), client.WriteOptions{})
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Problem.Status != http.StatusForbidden || refused.Problem.Policy != "small" || refused.Problem.Rule != "few" ||
		refused.Problem.Detail != "request r: no more than one machine, alice" {
		t.Fatalf("%+v, %v", refused, err)
	}
	if _, err := s.as("alice").Put(t.Context(), fleet.KindRequest, "r", []byte(`{project: web, vms: [{name: x, nics: [{network: lan}]}]}`), client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	ds, err := s.as("alice").Decisions(t.Context(), "web", 0)
	if err != nil || len(ds) != 2 || !ds[0].Allowed || ds[0].Revision == 0 || ds[1].Allowed || ds[1].Policy != "small" {
		t.Errorf("%+v, %v", ds, err)
	}
	if _, err := s.as("eve").Decisions(t.Context(), "db", 0); status(err) != http.StatusForbidden {
		t.Errorf("another project's: %v", err)
	}
}
