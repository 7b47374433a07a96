package dhcp4

import (
	"bytes"
	"encoding/binary"

	"github.com/berth-net/berth/internal/nic"
)

const (
	ipxe       = "iPXE"
	httpClient = "HTTPClient"
)

// boot chooses what the client is told about booting. iPXE comes first: it
// has the same architecture as the firmware that loaded it, and would be sent
// to load itself again.
func (x *exchange) boot() nic.Boot {
	d := &x.Binding.DHCP4
	if !d.BootIPXE.IsZero() && isIPXE(x.m.options[optUserClass]) {
		return d.BootIPXE
	}
	for arch := x.m.options[optArch]; len(arch) >= 2; arch = arch[2:] {
		if b, ok := d.BootArch[binary.BigEndian.Uint16(arch)]; ok {
			return b
		}
	}
	return d.Boot
}

// isIPXE looks for iPXE in the user class, which is a list of counted strings
// (RFC 3004) and which iPXE itself sends as bare text.
func isIPXE(class []byte) bool {
	if string(class) == ipxe {
		return true
	}
	for len(class) > 0 {
		n := 1 + int(class[0])
		if n > len(class) {
			return false
		}
		if string(class[1:n]) == ipxe {
			return true
		}
		class = class[n:]
	}
	return false
}

// httpBoot reports whether a UEFI HTTP client is being told a boot file.
func (x *exchange) httpBoot() bool {
	return bytes.HasPrefix(x.m.options[optVendorClass], []byte(httpClient)) && x.boot().File != ""
}
