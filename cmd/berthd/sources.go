package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/berth-net/berth/internal/agent"
	"github.com/berth-net/berth/internal/compat/nfdhcpd"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/source"
	"github.com/berth-net/berth/internal/source/dir"
	"github.com/berth-net/berth/internal/source/statichcpd"
)

// fromNFDHCPD serves the binding files of an nfdhcpd that is no more.
type fromNFDHCPD struct {
	Conf string `yaml:"conf"`
}

// fromStatichcpd serves the database of a statichcpd that is no more.
type fromStatichcpd struct {
	Conf     string `yaml:"conf"`
	Create   bool   `yaml:"create"`
	Defaults string `yaml:"defaults"`
}

// reader is a source that can also be read once.
type reader interface {
	agent.Source
	Check() source.Update
}

// readers are all sources the configuration names, in the order in which they
// win, and what of the older systems' configurations has no effect.
func (c *config) readers() (all []reader, warnings []manifest.Problem, err error) {
	bindings := dir.New(c.NICs)
	bindings.Networks, bindings.Owners = c.Networks, c.Owners
	bindings.Cache = filepath.Join(c.State, "last-good.json")
	all = []reader{bindings}
	if c.NFDHCPD.Conf != "" {
		s, w, e := c.openNFDHCPD()
		warnings, err = append(warnings, w...), errors.Join(err, e)
		all = append(all, s)
	}
	if c.Statichcpd.Conf != "" {
		s, w, e := c.openStatichcpd()
		warnings, err = append(warnings, w...), errors.Join(err, e)
		all = append(all, s)
	}
	if err != nil {
		return nil, warnings, err
	}
	return all, warnings, nil
}

func sources(all []reader) []agent.Source {
	var s []agent.Source
	for _, r := range all {
		s = append(s, r)
	}
	return s
}

func (c *config) openNFDHCPD() (*dir.Source, []manifest.Problem, error) {
	data, err := os.ReadFile(c.NFDHCPD.Conf)
	if err != nil {
		return nil, nil, fmt.Errorf("nfdhcpd.conf: %w", err)
	}
	conf, problems, warnings := nfdhcpd.ParseConfig(c.NFDHCPD.Conf, data)
	s := dir.NewNFDHCPD(conf)
	s.Owners = c.Owners
	s.Cache = filepath.Join(c.State, "last-good-nfdhcpd.json")
	return s, warnings, join(problems)
}

func (c *config) openStatichcpd() (*statichcpd.Source, []manifest.Problem, error) {
	paths, err := confFiles(c.Statichcpd.Conf)
	if err != nil {
		return nil, nil, fmt.Errorf("statichcpd.conf: %w", err)
	}
	conf, attributes, problems, warnings := statichcpd.Load(paths...)
	conf.Defaults = c.Statichcpd.Defaults
	s := statichcpd.New(conf.Database, conf, attributes)
	s.Create = c.Statichcpd.Create
	s.Cache = filepath.Join(c.State, "last-good-statichcpd.json")
	return s, warnings, join(problems)
}

// confFiles is a file, or of a directory all *.conf, of which the later win.
func confFiles(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil || !st.IsDir() {
		return []string{path}, err
	}
	files, err := filepath.Glob(filepath.Join(path, "*.conf"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%s: no *.conf in it", path)
	}
	slices.Sort(files)
	return files, err
}

func join(problems []manifest.Problem) error {
	var errs []error
	for _, p := range problems {
		errs = append(errs, p)
	}
	return errors.Join(errs...)
}

// checkBindings reads everything berthd would read and prints every mistake.
func checkBindings(c config, stdout io.Writer) int {
	all, warnings, err := c.readers()
	for _, w := range warnings {
		fmt.Fprintln(stdout, "warning:", w)
	}
	if err != nil {
		fmt.Fprintln(stdout, err)
		return exitConfig
	}
	code := exitOK
	for _, from := range all {
		u := from.Check()
		for _, w := range u.Warnings {
			fmt.Fprintln(stdout, "warning:", w)
		}
		for _, p := range u.Problems {
			fmt.Fprintln(stdout, p)
			code = exitConfig
		}
		fmt.Fprintf(stdout, "%s: %d bindings, %d mistakes\n", u.Path, len(u.Bindings), len(u.Problems))
	}
	return code
}

// logClients writes the table of NICs to the log whenever SIGUSR1 comes, as
// nfdhcpd did, until stop is called.
func logClients(log *slog.Logger, bindings func() []nic.Binding) (stop func()) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			for _, line := range nfdhcpd.Clients(bindings()) {
				log.Info("client", "table", line)
			}
		}
	}()
	return func() {
		signal.Stop(asked)
		close(asked)
	}
}
