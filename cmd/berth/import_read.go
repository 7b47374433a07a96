package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/berth-net/berth/internal/compat"
	"github.com/berth-net/berth/internal/compat/carry"
	"github.com/berth-net/berth/internal/compat/dnsmasq"
	"github.com/berth-net/berth/internal/compat/iscdhcpd"
	"github.com/berth-net/berth/internal/compat/kea"
	"github.com/berth-net/berth/internal/compat/libvirt"
	"github.com/berth-net/berth/internal/compat/nfdhcpd"
	"github.com/berth-net/berth/internal/compat/nimbus"
	statichcpdconf "github.com/berth-net/berth/internal/compat/statichcpd"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/source/statichcpd"
)

// importKinds are the systems that are known.
func importKinds() []string {
	return []string{"nfdhcpd", "statichcpd", "nimbus", "isc-dhcpd", "kea", "dnsmasq", "libvirt", nimbusPools}
}

// importer collects what files say.
type importer struct {
	options importOptions
	servers []netip.Prefix
	names   compat.Names
	carried []carry.Carried
	notes   []compat.Note
}

func (i *importer) read(kind string, files []string) error {
	switch kind {
	case "nfdhcpd":
		return i.nfdhcpd(files)
	case "statichcpd":
		return i.statichcpd(files)
	case "nimbus":
		return i.nimbus(files)
	}
	parse := map[string]func(compat.Input) compat.Result{
		"isc-dhcpd": iscdhcpd.Parse, "kea": kea.Parse, "dnsmasq": dnsmasq.Parse, "libvirt": libvirt.Parse,
	}[kind]
	in := compat.Input{Servers: i.servers, Include: included}
	var err error
	if in.Files, err = readAll(files); err != nil {
		return err
	}
	if in.Leases, err = readAll(i.options.leases); err != nil {
		return err
	}
	r := parse(in)
	carried, notes := carry.Carry(r.Hosts, i.options.network, i.names)
	i.carried = carried
	i.notes = slices.Concat(i.notes, r.Notes, notes)
	return nil
}

// maxImport bounds one file.
const maxImport = 64 << 20

func readImport(name string) (compat.File, error) {
	st, err := os.Stat(name)
	if err != nil {
		return compat.File{}, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxImport {
		return compat.File{}, fmt.Errorf("%s: not a regular file of at most %d bytes", name, maxImport)
	}
	data, err := os.ReadFile(name)
	return compat.File{Name: name, Data: data}, err
}

// readAll reads files; of a directory, those in it that have an end of theirs.
func readAll(names []string) ([]compat.File, error) {
	var out []compat.File
	for _, name := range names {
		inside := []string{name}
		if st, err := os.Stat(name); err == nil && st.IsDir() {
			if inside, err = filesIn(name); err != nil {
				return nil, err
			}
		}
		for _, n := range inside {
			f, err := readImport(n)
			if err != nil {
				return nil, err
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// filesIn are a directory's files but for hidden ones.
func filesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, nil
}

// included reads what a file names, relative to it.
func included(from, name string) ([]compat.File, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(filepath.Dir(from), name)
	}
	return readAll([]string{name})
}

// every makes problems a failure that tells all of them.
func every(list []manifest.Problem) error {
	var all failures
	for _, p := range list {
		all = append(all, p)
	}
	return all
}

func (i *importer) note(p compat.Place, text string) {
	i.notes = append(i.notes, compat.Note{Place: p, Text: text})
}

// without leaves out what is told of keys that concerned the old process alone.
func without(list []manifest.Problem, ofProcess func(key string) bool) []manifest.Problem {
	return slices.DeleteFunc(list, func(p manifest.Problem) bool { return ofProcess(p.Field) })
}

func (i *importer) problems(list []manifest.Problem) {
	for _, p := range list {
		place := compat.Place{File: p.File, Line: p.Line}
		p.File, p.Line, p.Column = "", 0, 0
		i.note(place, p.Error())
	}
}

// add takes a binding that its own system's rules made.
func (i *importer) add(p compat.Place, name string, b nic.Binding) {
	b.Network = i.options.network
	i.carried = append(i.carried, carry.Carried{Place: p, Name: name, Binding: b})
}

// nfdhcpd reads nfdhcpd.conf, which comes first, and binding files or their
// directory.
func (i *importer) nfdhcpd(files []string) error {
	conf, err := readImport(files[0])
	if err != nil {
		return err
	}
	config, bad, warnings := nfdhcpd.ParseConfig(conf.Name, conf.Data)
	if len(bad) > 0 {
		return every(bad)
	}
	i.problems(without(warnings, nfdhcpd.OfProcess))
	if files = files[1:]; len(files) == 0 {
		files = []string{config.Datapath}
	}
	format := nfdhcpd.Format{Config: config}
	bindings, err := readAll(files)
	if err != nil {
		return err
	}
	hosts := nfdhcpd.Hosts{MACs: hostMACs()}
	for _, f := range bindings {
		if !format.Wanted(filepath.Base(f.Name)) {
			continue
		}
		r := format.Parse(f.Name, f.Data, hosts)
		i.problems(r.Problems)
		i.problems(format.Warnings(f.Name, f.Data, hosts))
		for _, b := range r.Bindings {
			i.add(compat.Place{File: f.Name}, "nfdhcpd's "+b.NIC, b)
		}
	}
	return nil
}

// hostMACs are those of this host's interfaces.
func hostMACs() map[string]nic.MAC {
	out := map[string]nic.MAC{}
	all, _ := net.Interfaces() // none is known otherwise, which is told for each NIC
	for _, l := range all {
		if len(l.HardwareAddr) == 6 {
			out[l.Name] = nic.MAC(l.HardwareAddr)
		}
	}
	return out
}

// statichcpd reads files of configuration, and the database they name.
func (i *importer) statichcpd(files []string) error {
	config, attributes, bad, warnings := statichcpd.Load(files...)
	if len(bad) > 0 {
		return every(bad)
	}
	i.problems(without(warnings, statichcpdconf.OfProcess))
	u := statichcpd.New(config.Database, config, attributes).Check()
	i.problems(u.Problems)
	i.problems(u.Warnings)
	for _, b := range u.Bindings {
		i.add(compat.Place{File: b.Origin.File, Line: b.Origin.Line}, "statichcpd's "+b.NIC, b)
	}
	return nil
}

// nimbus reads the dhcpd.conf that Nimbus wrote its entries into.
func (i *importer) nimbus(files []string) error {
	all, err := readAll(files)
	if err != nil {
		return err
	}
	for _, f := range all {
		entries, problems := nimbus.ParseEntries(f.Name, f.Data)
		i.problems(problems)
		for _, e := range entries {
			i.nimbusEntry(compat.Place{File: f.Name, Line: e.Line}, e)
		}
	}
	return nil
}

func (i *importer) nimbusEntry(p compat.Place, e nimbus.Entry) {
	name, err := i.names.Of(e.Identity.MAC)
	lease, longest := iscdhcpd.Times(compat.Time(e.Identity.Lease), compat.Time(e.Identity.MaxLease), 0)
	e.Identity.Lease, e.Identity.MaxLease = nic.Seconds(lease), nic.Seconds(longest)
	if err == nil {
		var b nic.Binding
		if b, err = e.On(name).ServedFrom(i.servers).Binding(); err == nil {
			i.add(p, "host "+e.Name, b)
			return
		}
	}
	i.note(p, fmt.Sprintf("host %s is not carried: %v", e.Name, err))
}

// writeNew writes a file whole or not at all. berthd ignores hidden names, so
// it never sees half of one.
func writeNew(dir, name string, text []byte, replace bool) error {
	path := filepath.Join(dir, name)
	if _, err := os.Lstat(path); !replace && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already; --replace overwrites it", path)
	}
	return renameio.WriteFile(path, text, 0o644, renameio.WithTempDir(dir))
}
