package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/nic"
)

// serverDUID returns the identifier by which DHCPv6 clients know this server:
// the configured one, else one made once and kept under state. Nodes between
// which guests migrate share one, so that a renewal is answered by the node
// the guest came to.
func serverDUID(configured, state string) ([]byte, error) {
	if configured != "" {
		return parseDUID(configured)
	}
	file := filepath.Join(state, "duid")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return newDUID(file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the server's DUID: %w", err)
	}
	duid, err := parseDUID(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return duid, nil
}

// newDUID makes a DUID-UUID (RFC 6355). It is on disk before it is used: a
// client that has heard one must never hear another.
func newDUID(file string) ([]byte, error) {
	duid := make([]byte, nic.MaxServerDUID)
	duid[1] = 4
	if _, err := rand.Read(duid[2:]); err != nil {
		return nil, fmt.Errorf("make the server's DUID: %w", err)
	}
	duid[2+6] = duid[2+6]&0x0f | 0x40 // version 4, RFC 9562 section 5.4
	duid[2+8] = duid[2+8]&0x3f | 0x80
	if err := disk.Replace(file, []byte(formatDUID(duid)+"\n")); err != nil {
		return nil, fmt.Errorf("keep the server's DUID: %w", err)
	}
	return duid, nil
}

// parseDUID reads hex octets, with or without colons: 2 of type and at least 1
// of identifier.
func parseDUID(text string) ([]byte, error) {
	duid, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	switch {
	case err != nil || len(duid) < 3:
		return nil, fmt.Errorf("duid %q: want 3 to %d octets in hex, such as 00:04:... (RFC 8415 section 11)", text, nic.MaxServerDUID)
	case len(duid) > nic.MaxServerDUID:
		return nil, fmt.Errorf("duid %q: it has %d octets, and every reply must have room for it: want 3 to %d", text, len(duid), nic.MaxServerDUID)
	}
	return duid, nil
}

// formatDUID writes a DUID as people do.
func formatDUID(duid []byte) string {
	parts := make([]string, len(duid))
	for i, b := range duid {
		parts[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(parts, ":")
}
