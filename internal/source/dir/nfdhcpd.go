package dir

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"os"
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
	s.format = func() format { return bindingFiles(nfdhcpd.Format{Config: c}, hostMACs(c.Datapath)) }
	return s
}

func bindingFiles(f nfdhcpd.Format, hosts nfdhcpd.Hosts) format {
	return format{
		wanted: f.Wanted, around: hashed(hosts.MACs),
		parse:    func(path string, data []byte) manifest.Result { return f.Parse(path, data, hosts) },
		warnings: func(path string, data []byte) []manifest.Problem { return f.Warnings(path, data, hosts) },
	}
}

// hostMACs are those a file's INDEV may name: of every interface but those
// that have a file themselves, so that a guest's coming and going does not have
// every file read again.
func hostMACs(dir string) nfdhcpd.Hosts {
	all, err := net.Interfaces()
	if err != nil {
		return nfdhcpd.Hosts{} // the next reading may know
	}
	macs := map[string]nic.MAC{}
	for _, i := range all {
		if _, err := os.Lstat(dir + "/" + i.Name); len(i.HardwareAddr) == 6 && err != nil {
			macs[i.Name] = nic.MAC(i.HardwareAddr)
		}
	}
	return nfdhcpd.Hosts{MACs: macs}
}

func hashed(macs map[string]nic.MAC) [sha256.Size]byte {
	var text []byte
	for _, name := range slices.SortedFunc(maps.Keys(macs), cmp.Compare) {
		text = fmt.Appendf(text, "%s %s\n", name, macs[name])
	}
	return sha256.Sum256(text)
}
