package dir

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/berth-net/berth/internal/compat/nfdhcpd"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
)

// NewNFDHCPD makes a source of nfdhcpd's binding files, in the directory its
// configuration names.
func NewNFDHCPD(c nfdhcpd.Config) *Source {
	s := New(c.Datapath)
	s.name = "nfdhcpd"
	s.format = func() format { return bindingFiles(nfdhcpd.Format{Config: c}, interfaces(), c.Datapath) }
	return s
}

func bindingFiles(f nfdhcpd.Format, hosts nfdhcpd.Hosts, dir string) format {
	return format{
		wanted: f.Wanted, around: hashed(withoutFile(hosts.MACs, dir)),
		parse:    func(path string, data []byte) manifest.Result { return f.Parse(path, data, hosts) },
		warnings: func(path string, data []byte) []manifest.Problem { return f.Warnings(path, data, hosts) },
	}
}

// interfaces are the host's, which a file's INDEV may name.
func interfaces() nfdhcpd.Hosts {
	all, err := net.Interfaces()
	if err != nil {
		return nfdhcpd.Hosts{} // the next reading may know
	}
	macs := map[string]nic.MAC{}
	for _, i := range all {
		if len(i.HardwareAddr) == 6 {
			macs[i.Name] = nic.MAC(i.HardwareAddr)
		}
	}
	return nfdhcpd.Hosts{MACs: macs}
}

// withoutFile leaves out the NICs themselves: a guest's coming and going does
// not have every file read again. What its own file says of its tap stays as it
// was when that was written, and so does the guest's router.
func withoutFile(macs map[string]nic.MAC, dir string) map[string]nic.MAC {
	others := maps.Clone(macs)
	maps.DeleteFunc(others, func(name string, _ nic.MAC) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return err == nil
	})
	return others
}

func hashed(macs map[string]nic.MAC) [sha256.Size]byte {
	var text []byte
	for _, name := range slices.SortedFunc(maps.Keys(macs), cmp.Compare) {
		text = fmt.Appendf(text, "%s %s\n", name, macs[name])
	}
	return sha256.Sum256(text)
}
