// Package compat is what the imports of other systems have in common: the
// hosts that a configuration names, the DHCP options they are told in, and the
// binding that each of them becomes.
//
// Not here: any configuration's grammar (the packages below), files, and which
// host interface has which MAC (cmd/berth).
package compat

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// Place is where something stands in a file; Line is 0 for the whole of it.
type Place struct {
	File string
	Line int
}

func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Note is something that is not carried over, or was understood in a way that
// has to be told, and why.
type Note struct {
	Place Place
	Text  string
}

func (n Note) String() string { return n.Place.String() + ": " + n.Text }

// File is a file that was read.
type File struct {
	Name string
	Data []byte
}

// Input is all that a parser is given.
type Input struct {
	Files   []File
	Leases  []File                                  // the server's memory of its leases
	Include func(from, name string) ([]File, error) // reads what a file names; nil: nothing is read
	// Servers are the addresses that the old server has, each with its subnet's
	// length, for configurations that leave them to the interface.
	Servers []netip.Prefix
}

// Result is what the files say.
type Result struct {
	Hosts []Host
	Notes []Note
}

// Note adds a note.
func (r *Result) Note(p Place, format string, args ...any) {
	r.Notes = append(r.Notes, Note{Place: p, Text: fmt.Sprintf(format, args...)})
}

// Sort puts the notes in the order of the files' names and lines, each once.
func (r *Result) Sort() {
	slices.SortFunc(r.Notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Text, b.Text))
	})
	r.Notes = slices.Compact(r.Notes)
}

// ServerIn returns the one of servers that is in a subnet, the zero Addr if
// none is.
func ServerIn(servers []netip.Prefix, subnet netip.Prefix) netip.Addr {
	for _, p := range servers {
		if subnet.Contains(p.Addr()) {
			return p.Addr()
		}
	}
	return netip.Addr{}
}
