package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/berth-net/berth/internal/datapath"
	"github.com/berth-net/berth/internal/hook"
	"github.com/berth-net/berth/internal/lock"
	"github.com/berth-net/berth/internal/service"
)

// config is berthd.yaml; packaging/etc/berth/berthd.yaml.example shows every key.
type config struct {
	NICs     string          `yaml:"nics"`
	Networks string          `yaml:"networks"`
	State    string          `yaml:"state"`
	BPF      string          `yaml:"bpf"`
	Socket   socket          `yaml:"socket"`
	Closed   []string        `yaml:"closed"`
	Deny     []string        `yaml:"deny"`
	Allow    []string        `yaml:"allow"`
	Owners   []uint32        `yaml:"owners"`
	DUID     string          `yaml:"duid"`
	Hooks    string          `yaml:"hooks"`
	Answers  string          `yaml:"answers"`
	Log      service.Logging `yaml:"log"`

	NFDHCPD    fromNFDHCPD    `yaml:"nfdhcpd"`
	Statichcpd fromStatichcpd `yaml:"statichcpd"`
}

type socket struct {
	Path  string           `yaml:"path"`
	Mode  service.FileMode `yaml:"mode"`
	Group string           `yaml:"group"`
}

// Who answers what can be answered without the daemon.
const (
	byKernel = "kernel"
	byDaemon = "daemon"
)

func defaultConfig() config {
	return config{
		NICs:     "/etc/berth/nics.d",
		Networks: "/etc/berth/networks.yaml",
		State:    "/var/lib/berth",
		BPF:      datapath.DefaultDir,
		Hooks:    hook.DefaultDir,
		Answers:  byKernel,
		Socket:   socket{Path: "/run/berth/berthd.sock", Mode: 0o660},
		Log:      service.Logging{Format: "text"},
	}
}

// loadConfig reads the file over the defaults; a missing file is no mistake.
func loadConfig(file string) (config, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return defaultConfig(), nil
	}
	if err != nil {
		return config{}, fmt.Errorf("read configuration: %w", err)
	}
	return parseConfig(file, data)
}

func parseConfig(file string, data []byte) (config, error) {
	c := defaultConfig()
	if err := service.Decode(file, data, &c); err != nil {
		return c, err
	}
	if err := c.validate(); err != nil {
		return c, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

func (c *config) validate() error {
	var errs []error
	for _, p := range []struct{ key, value string }{
		{"nics", c.NICs},
		{"networks", c.Networks},
		{"state", c.State},
		{"bpf", c.BPF},
		{"hooks", c.Hooks},
		{"socket.path", c.Socket.Path},
		{"nfdhcpd.conf", c.NFDHCPD.Conf},
		{"statichcpd.conf", c.Statichcpd.Conf},
	} {
		if p.value == "" && strings.HasSuffix(p.key, ".conf") {
			continue // not served
		}
		if !filepath.IsAbs(p.value) {
			errs = append(errs, fmt.Errorf("%s %q: want an absolute path", p.key, p.value))
		}
	}
	if c.Answers != byKernel && c.Answers != byDaemon {
		errs = append(errs, fmt.Errorf("answers %q: want kernel or daemon", c.Answers))
	}
	for _, l := range []struct {
		key      string
		patterns []string
	}{{"closed", c.Closed}, {"deny", c.Deny}, {"allow", c.Allow}} {
		for _, p := range l.patterns {
			if err := checkPattern(l.key, p); err != nil {
				errs = append(errs, err)
			}
		}
	}
	errs = append(errs, c.checkClosed()...)
	if c.DUID != "" {
		_, err := parseDUID(c.DUID)
		errs = append(errs, err)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		errs = append(errs, fmt.Errorf("log.format %q: want text or json", c.Log.Format))
	}
	return errors.Join(errs...)
}

// checkClosed holds `closed` to what the second lock can hold, and keeps it
// apart from `deny`: a lock on a pattern has no holes.
func (c *config) checkClosed() []error {
	var errs []error
	for _, p := range c.Closed {
		d := lock.Desired{Mark: datapath.Mark, Names: []string{p}}
		prefix, isPattern := strings.CutSuffix(p, "*")
		if isPattern {
			d.Names, d.Patterns = nil, []string{p}
		}
		if _, err := d.Normal(); err != nil {
			errs = append(errs, fmt.Errorf("closed %q: %w", p, err))
		}
		for _, deny := range c.Deny {
			if deny == p || isPattern && strings.HasPrefix(deny, prefix) {
				errs = append(errs, fmt.Errorf("deny %q: closed %q would close it; choose a pattern that leaves it out", deny, p))
			}
		}
	}
	return errs
}

// checkPattern holds `closed` to what both locks can match: an exact name, or
// a beginning followed by one star.
func checkPattern(key, p string) error {
	if _, err := path.Match(p, ""); err != nil || p == "" || p == "*" {
		return fmt.Errorf("%s %q: want an interface name or a pattern such as tap*", key, p)
	}
	if i := bytes.IndexAny([]byte(p), `*?[\`); key == "closed" && i >= 0 && (p[i] != '*' || i != len(p)-1) {
		return fmt.Errorf("closed %q: a pattern is a beginning and one star at the end, such as tap*", p)
	}
	return nil
}
