package rest_test

import (
	"errors"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

// A NIC's whole life: made, found, the same again, changed under a revision,
// and gone with its history left.
func TestLifeOfANIC(t *testing.T) {
	s := newSite(t)
	s.furnish()
	alice := s.as("alice")
	const doc = `{"project": "web", "network": "lan", "node": "n1", "interface": "tap7"}`
	dry, err := alice.Put(t.Context(), fleet.KindNIC, "web-1", []byte(doc), client.WriteOptions{DryRun: true})
	if err != nil || !dry.Changed || len(dry.Edits) != 1 {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	if _, err := alice.Get(t.Context(), fleet.KindNIC, "web-1"); !errors.Is(err, client.ErrNotFound) {
		t.Fatalf("after a dry run: %v", err)
	}
	w, err := alice.Put(t.Context(), fleet.KindNIC, "web-1", []byte(doc), client.WriteOptions{})
	if err != nil || !w.Changed {
		t.Fatalf("%+v, %v", w, err)
	}
	n := decodeAs[fleet.NIC](t, *w.Resource)
	if n.Granted == nil || n.Granted.Addresses[0].String() != "192.0.2.10/24" || n.Meta.Revision != w.Revision {
		t.Errorf("granted %+v at %+v", n.Granted, n.Meta)
	}
	again, err := alice.Put(t.Context(), fleet.KindNIC, "web-1", []byte(doc), client.WriteOptions{})
	if err != nil || again.Changed {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	const other = `{"project": "web", "network": "lan", "node": "n1", "interface": "tap8"}`
	if _, err := alice.Put(t.Context(), fleet.KindNIC, "web-1", []byte(other), client.WriteOptions{Revision: w.Revision - 1}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("with another revision: %v", err)
	}
	if _, err := alice.Put(t.Context(), fleet.KindNIC, "web-1", []byte(other), client.WriteOptions{Revision: w.Revision}); err != nil {
		t.Error(err)
	}
	if _, err := alice.Delete(t.Context(), fleet.KindNIC, "web-1", client.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	past, err := alice.History(t.Context(), client.HistoryQuery{Kind: fleet.KindNIC, Name: "web-1"})
	if err != nil || len(past) != 3 || past[0].Action != "delete" || past[0].Actor != "user:alice" || past[2].Number != w.Revision {
		t.Errorf("history %+v, %v", past, err)
	}
}
