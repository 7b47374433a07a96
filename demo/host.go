package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// host is what a demo that is not contained would have changed: names of
// links, pins, network namespaces and nftables tables.
type host []string

func lookAtHost() host {
	var h host
	for _, dir := range []string{"/sys/class/net", "/sys/fs/bpf", "/run/netns", "/run/berth"} {
		entries, _ := os.ReadDir(dir) // what is not there holds nothing
		for _, e := range entries {
			h = append(h, dir+"/"+e.Name())
		}
	}
	tables, _ := exec.Command("nft", "list", "tables").Output() // as above
	for _, t := range strings.Split(strings.TrimSpace(string(tables)), "\n") {
		h = append(h, "nftables "+t)
	}
	return h
}

// ours says which names the demo uses; a busy host changes others meanwhile.
func ours(name string) bool {
	return strings.Contains(name, "berth") ||
		slices.ContainsFunc(hostNames(), func(n string) bool { return strings.HasSuffix(name, "/"+n) })
}

func (h host) sameAs(before host) error {
	for _, name := range h {
		if ours(name) && !slices.Contains(before, name) {
			return fmt.Errorf("the host has %s, which it did not have before", name)
		}
	}
	fmt.Println("  the host has no link, pin, nftables table or network namespace of the demo")
	return nil
}
