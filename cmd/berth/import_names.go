package main

import (
	"bufio"
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/compat/libvirt"
	"github.com/berth-net/berth/internal/nic"
)

// findNames fills in which interface each MAC is behind.
func (i *importer) findNames() error {
	for _, name := range i.options.interfaces {
		f, err := readImport(name)
		if err != nil {
			return err
		}
		i.interfaces(f)
	}
	for _, name := range i.options.domains {
		files, err := readAll([]string{name})
		if err != nil {
			return err
		}
		// libvirt keeps other files beside its domains.
		files = slices.DeleteFunc(files, func(f compat.File) bool { return f.Name != name && filepath.Ext(f.Name) != ".xml" })
		i.notes = append(i.notes, libvirt.Names(files, i.names)...)
	}
	if i.options.links {
		return learned(i.names)
	}
	return nil
}

// interfaces reads lines of "MAC NIC".
func (i *importer) interfaces(f compat.File) {
	lines := bufio.NewScanner(bytes.NewReader(f.Data))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		mac, err := compat.MAC(words[0])
		if err != nil || len(words) != 2 || !nic.ValidName(words[1]) {
			i.note(compat.Place{File: f.Name, Line: n}, "want a MAC and the name of an interface")
			continue
		}
		i.names.Add(mac, words[1])
	}
}

// learned asks the bridges of this host. Behind an uplink there are many MACs
// and none of a guest: only interfaces that lead to one count.
func learned(names compat.Names) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list the links: %w", err)
	}
	guests := map[int]string{}
	for _, l := range links {
		if kind := l.Type(); kind == "tuntap" || kind == "veth" || strings.HasPrefix(l.Attrs().Name, "vif") {
			guests[l.Attrs().Index] = l.Attrs().Name
		}
	}
	entries, err := netlink.NeighList(0, unix.AF_BRIDGE)
	if err != nil {
		return fmt.Errorf("read the bridges' forwarding tables: %w", err)
	}
	for _, e := range entries {
		name, guest := guests[e.LinkIndex]
		own := e.State&unix.NUD_PERMANENT != 0 // the interface's, not a guest's
		if guest && !own && len(e.HardwareAddr) == 6 {
			names.Add(nic.MAC(e.HardwareAddr), name)
		}
	}
	return nil
}
