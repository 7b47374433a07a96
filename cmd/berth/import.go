package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/compat/carry"
	"github.com/berth-net/berth/internal/manifest"
)

// errLeftOut is how import says that not everything was carried over.
var errLeftOut = errors.New("not everything was carried over")

// importOptions are the flags of import.
type importOptions struct {
	leases, domains, interfaces []string
	links                       bool
	servers                     []string
	network, networks           string
	out                         string
	replace, dryRun             bool
	apply                       bool
}

func (a *app) importCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "import KIND FILE...",
		Short: "Make bindings, or pools, of what another system was told",
		Long: `Read the configuration of another system and write the bindings that say the same, to the standard output or a file for each NIC. Each thing that cannot be carried over is told with its file, line and reason. berthd is not asked, and nothing but the files of --out is written.

KIND is one of ` + strings.Join(importKinds(), ", ") + `; of the last, the network-pools directory of a Nimbus workspace service, networks and pools of a controller are made. docs/import.md says what of each is carried.

dhcpd, Kea and dnsmasq know a guest by its MAC. Which interface that is behind must come from --interfaces, --domains or --links.`,
		Example: "  berth import isc-dhcpd /etc/dhcp/dhcpd.conf --server 192.0.2.4/24 --links --out /etc/berth/nics.d\n  virsh net-dumpxml default > net.xml; berth import libvirt net.xml /run/libvirt/qemu/*.xml",
		Args:    func(_ *cobra.Command, args []string) error { return checkImport(args) },
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPoolFlags(cmd, args[0]); err != nil {
				return err
			}
			if args[0] == nimbusPools {
				return a.importPools(cmd, args[1:], o)
			}
			return a.runImport(args[0], args[1:], o)
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.leases, "leases", nil, "file of leases: active ones become fixed")
	f.StringArrayVar(&o.domains, "domains", nil, "libvirt's domain XML, a file or a directory of them")
	f.StringArrayVar(&o.interfaces, "interfaces", nil, `file with lines of "MAC NIC"`)
	f.BoolVar(&o.links, "links", false, "ask this host's bridges behind which interface each MAC is")
	f.StringSliceVar(&o.servers, "server", nil, "address of the old server, with its subnet's length, where its files leave that to the interface")
	f.StringVar(&o.network, "network", "", "network of the NICs")
	f.StringVar(&o.networks, "networks", "", "the networks file whose values need not be repeated")
	f.StringVar(&o.out, "out", "", "directory for a file of each NIC")
	f.BoolVar(&o.replace, "replace", false, "overwrite files that exist")
	f.BoolVar(&o.apply, "apply", false, "of nimbus-pools: apply the resources at a controller, instead of writing them")
	f.BoolVar(&o.dryRun, "dry-run", false, "tell what would be carried over, and write nothing")
	return cmd
}

func checkImport(args []string) error {
	kinds := importKinds()
	switch {
	case len(args) == 0 || !slices.Contains(kinds, args[0]):
		return usage("want a kind first: %s", strings.Join(kinds, ", "))
	case len(args) == 1:
		return usage("want at least one file of %s", args[0])
	}
	return nil
}

func (a *app) runImport(kind string, files []string, o importOptions) error {
	if o.replace && o.out == "" {
		return usage("--replace is for the files of --out")
	}
	if err := checkOut(o.out); err != nil {
		return err
	}
	servers, err := prefixes(o.servers)
	if err != nil {
		return err
	}
	nets, err := importNetworks(o)
	if err != nil {
		return err
	}
	i := importer{options: o, servers: servers, names: compat.Names{}}
	if err := i.findNames(); err != nil {
		return err
	}
	if err := i.read(kind, files); err != nil {
		return err
	}
	carried, notes := carry.Distinct(i.carried)
	i.notes = append(i.notes, notes...)
	return a.writeImport(carried, i.notes, nets, o)
}

// checkOut looks for the directory of --out before anything is read.
func checkOut(dir string) error {
	if dir == "" {
		return nil
	}
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--out %s: there is no such directory; make it first", dir)
	case err != nil:
		return fmt.Errorf("--out: %w", err)
	case !st.IsDir():
		return fmt.Errorf("--out %s: not a directory", dir)
	}
	return nil
}

// prefixes reads addresses with their subnet's length; without one, only the
// address is known.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range texts {
		p, err := netip.ParsePrefix(s)
		if a, plain := netip.ParseAddr(s); plain == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, usage("--server %s is not an address with its subnet's length", s)
		}
		out = append(out, p)
	}
	return out, nil
}

// importNetworks are the networks that the documents are written for.
func importNetworks(o importOptions) (manifest.Networks, error) {
	if o.networks == "" {
		return carry.Alone(o.network), nil
	}
	f, err := readImport(o.networks)
	if err != nil {
		return manifest.Networks{}, err
	}
	nets, problems := manifest.ParseNetworks(f.Name, f.Data)
	if len(problems) > 0 {
		return nets, problems[0]
	}
	if o.network != "" && !slices.Contains(nets.Names(), o.network) {
		return nets, usage("--network %s is not in %s", o.network, o.networks)
	}
	return nets, nil
}

// writeImport writes the documents, then what is left out, then how much of
// both there is.
func (a *app) writeImport(carried []carry.Carried, notes []compat.Note, nets manifest.Networks, o importOptions) error {
	written := 0
	var failed failures
	for _, c := range carried {
		text, err := carry.Lean(&c.Binding, nets)
		if err != nil {
			notes = append(notes, compat.Note{Place: c.Place, Text: fmt.Sprintf("%s is not carried: %v", c.Name, err)})
			continue
		}
		text = append([]byte(fmt.Sprintf("# %s, %s\n", printable(c.Name), printable(c.Place.String()))), text...)
		if err := a.writeDocument(c.Binding.NIC, text, written > 0, o); err != nil {
			failed = append(failed, err)
			continue
		}
		written++
	}
	for _, n := range notes {
		fmt.Fprintln(a.stderr, printable(n.String()))
	}
	fmt.Fprintf(a.stderr, "%d carried over, %d left out or to be looked at\n", written, len(notes))
	switch {
	case len(failed) > 0:
		return failed
	case len(notes) > 0:
		return errLeftOut
	}
	return nil
}

func (a *app) writeDocument(name string, text []byte, further bool, o importOptions) error {
	switch {
	case o.dryRun:
		fmt.Fprintf(a.stderr, "%s: would be written\n", printable(name))
		return nil
	case o.out != "":
		return writeNew(o.out, name+".yaml", text, o.replace)
	case further:
		text = append([]byte("---\n"), text...)
	}
	_, err := a.stdout.Write(text)
	return err
}
