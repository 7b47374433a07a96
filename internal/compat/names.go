package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/nic"
)

// Names are the host interfaces that a guest's MAC is behind.
type Names map[nic.MAC][]string

// Add notes that a MAC is behind an interface.
func (n Names) Add(m nic.MAC, name string) {
	if !slices.Contains(n[m], name) {
		n[m] = append(n[m], name)
	}
}

// Of is the one interface that a MAC is behind.
func (n Names) Of(m nic.MAC) (string, error) {
	switch found := n[m]; len(found) {
	case 0:
		return "", fmt.Errorf("no interface is known for MAC %v", m)
	case 1:
		return found[0], nil
	default:
		return "", fmt.Errorf("MAC %v is behind more than one interface: %s", m, strings.Join(found, ", "))
	}
}
