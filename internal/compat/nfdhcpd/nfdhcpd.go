// Package nfdhcpd reads what nfdhcpd 0.16 was configured with: nfdhcpd.conf,
// and the binding files that snf-network and others write, one a NIC. A guest
// that renews is told the same as before. docs/nfdhcpd.md lists every key.
//
// Not here: directories and watching them (source/dir), and bindings in
// berth's own format (manifest), which also gives every default.
package nfdhcpd

import (
	"path"
	"strings"

	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// Hosts is what is known of the host's own interfaces.
type Hosts struct {
	MACs map[string]nic.MAC // by interface name
}

// Format turns nfdhcpd's binding files into bindings.
type Format struct {
	Config Config
}

// Wanted reports whether a file of this name is a binding: a file is called
// like its NIC, and editors and copiers leave others beside it.
func (Format) Wanted(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") {
		return false
	}
	for _, end := range []string{"~", ".swp", ".swx", ".tmp"} {
		if strings.HasSuffix(name, end) {
			return false
		}
	}
	return nic.ValidName(name)
}

// Parse reads one binding file. The last element of its path names the NIC.
func (f Format) Parse(file string, data []byte, hosts Hosts) manifest.Result {
	d := f.read(file, data, hosts)
	r := d.build()
	if len(r.Problems) > 0 {
		r.Bindings, r.Names = nil, d.names()
	}
	return r
}

// Warnings says what of one binding file has no effect, or not the wanted one.
func (f Format) Warnings(file string, data []byte, hosts Hosts) []manifest.Problem {
	return f.read(file, data, hosts).warnings
}

func (f Format) read(file string, data []byte, hosts Hosts) *draft {
	d := &draft{config: f.Config, hosts: hosts, file: file, name: path.Base(file)}
	d.keys = d.lines(data)
	d.translate()
	return d
}
