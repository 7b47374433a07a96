package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/berth-net/berth/internal/control"
	"github.com/berth-net/berth/internal/etcd"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/identity"
	"github.com/berth-net/berth/internal/rest/wire"
	"github.com/berth-net/berth/internal/service"
)

// config is controller.yaml; packaging/etc/berth/controller.yaml.example shows
// every key.
type config struct {
	Data      string          `yaml:"data"`
	Name      string          `yaml:"name"`
	Listen    string          `yaml:"listen"`
	Names     []string        `yaml:"names"`
	URLs      []string        `yaml:"urls"`
	Socket    socket          `yaml:"socket"`
	Etcd      cluster         `yaml:"etcd"`
	CA        keyPair         `yaml:"ca"`
	Operators operators       `yaml:"operators"`
	UserCA    string          `yaml:"user-ca"`
	OIDC      []provider      `yaml:"oidc"`
	Tokens    string          `yaml:"tokens"`
	Retention fleet.Duration  `yaml:"retention"`
	Log       service.Logging `yaml:"log"`
}

type socket struct {
	Path  string           `yaml:"path"`
	Mode  service.FileMode `yaml:"mode"`
	Group string           `yaml:"group"`
}

type cluster struct {
	Endpoints    []string `yaml:"endpoints"`
	Prefix       string   `yaml:"prefix"`
	CA           string   `yaml:"ca"`
	Cert         string   `yaml:"cert"`
	Key          string   `yaml:"key"`
	Username     string   `yaml:"username"`
	PasswordFile string   `yaml:"password-file"`
}

type keyPair struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

type operators struct {
	Subjects []string `yaml:"subjects"`
	UIDs     []uint32 `yaml:"uids"`
	GIDs     []uint32 `yaml:"gids"`
}

type provider struct {
	Issuer      string            `yaml:"issuer"`
	Audience    string            `yaml:"audience"`
	Username    string            `yaml:"username"`
	Groups      string            `yaml:"groups"`
	UserPrefix  string            `yaml:"user-prefix"`
	GroupPrefix string            `yaml:"group-prefix"`
	Attributes  map[string]string `yaml:"attributes"`
}

func defaultConfig() config {
	return config{
		Data:      "/var/lib/berth-controller",
		Listen:    ":7443",
		Socket:    socket{Path: wire.DefaultSocket, Mode: 0o660},
		Etcd:      cluster{Prefix: etcd.DefaultPrefix},
		Retention: fleet.Duration(control.DefaultRetention),
		Log:       service.Logging{Format: "text"},
	}
}

// loadConfig reads the file over the defaults; a missing file is no mistake.
func loadConfig(file string) (config, error) {
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return config{}, fmt.Errorf("read configuration: %w", err)
	}
	c, err := parseConfig(file, data)
	if err == nil && c.Name == "" {
		c.Name, err = os.Hostname()
	}
	return c, err
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
	errs := c.checkPaths()
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen %q: want an address and a port, such as :7443", c.Listen))
	}
	for _, u := range c.URLs {
		if p, err := url.Parse(u); err != nil || p.Scheme != "https" || p.Host == "" {
			errs = append(errs, fmt.Errorf("urls %q: want https://HOST:PORT", u))
		}
	}
	if !strings.HasSuffix(c.Etcd.Prefix, "/") {
		errs = append(errs, fmt.Errorf("etcd.prefix %q: want one that ends in a slash", c.Etcd.Prefix))
	}
	if c.Retention <= 0 {
		errs = append(errs, errors.New("retention: want a time above 0, such as 90d"))
	}
	if (c.CA.Cert == "") != (c.CA.Key == "") {
		errs = append(errs, errors.New("ca: want both cert and key, or neither"))
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		errs = append(errs, fmt.Errorf("log.format %q: want text or json", c.Log.Format))
	}
	return errors.Join(errs...)
}

func (c *config) checkPaths() []error {
	var errs []error
	for _, p := range []struct {
		key, value string
		needed     bool
	}{
		{"data", c.Data, true},
		{"socket.path", c.Socket.Path, true},
		{"etcd.ca", c.Etcd.CA, false},
		{"etcd.cert", c.Etcd.Cert, false},
		{"etcd.key", c.Etcd.Key, false},
		{"etcd.password-file", c.Etcd.PasswordFile, false},
		{"ca.cert", c.CA.Cert, false},
		{"ca.key", c.CA.Key, false},
		{"user-ca", c.UserCA, false},
		{"tokens", c.Tokens, false},
	} {
		if (p.needed || p.value != "") && !filepath.IsAbs(p.value) {
			errs = append(errs, fmt.Errorf("%s %q: want an absolute path", p.key, p.value))
		}
	}
	return errs
}

// store is the cluster that is named, else one of the controller's own.
func (c *config) store() (etcd.Options, error) {
	o := etcd.Options{
		Endpoints: c.Etcd.Endpoints, Prefix: c.Etcd.Prefix, Username: c.Etcd.Username,
		TLS: etcd.TLS{CA: c.Etcd.CA, Cert: c.Etcd.Cert, Key: c.Etcd.Key},
	}
	if len(o.Endpoints) == 0 {
		o.Dir = filepath.Join(c.Data, "etcd")
	}
	if c.Etcd.PasswordFile == "" {
		return o, nil
	}
	password, err := os.ReadFile(c.Etcd.PasswordFile)
	if err != nil {
		return o, fmt.Errorf("etcd.password-file: %w", err)
	}
	o.Password = strings.TrimSpace(string(password))
	return o, nil
}

// identity is who is believed.
func (c *config) identity(nodes []*x509.Certificate) (*identity.Authenticator, error) {
	conf := identity.Config{
		Operators: c.Operators.Subjects, UIDs: c.Operators.UIDs, GIDs: c.Operators.GIDs,
		NodeCAs: nodes, TokenFile: c.Tokens,
	}
	var err error
	if c.UserCA != "" {
		if conf.UserCAs, err = readCertificates(c.UserCA); err != nil {
			return nil, fmt.Errorf("user-ca: %w", err)
		}
	}
	for _, p := range c.OIDC {
		conf.OIDC = append(conf.OIDC, identity.OIDC{
			Issuer: p.Issuer, Audience: p.Audience, Username: p.Username, Groups: p.Groups,
			UserPrefix: p.UserPrefix, GroupPrefix: p.GroupPrefix, Attributes: p.Attributes,
		})
	}
	return identity.New(conf)
}

func readCertificates(file string) ([]*x509.Certificate, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, cert)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: there is no PEM certificate in it", file)
	}
	return all, nil
}

// reachable is by which names and addresses the controller is known, and where
// nodes are told to find it.
func (c *config) reachable() (names, urls []string) {
	names = append(names, c.Names...)
	if host, err := os.Hostname(); err == nil && !slices.Contains(names, host) {
		names = append(names, host)
	}
	host, port, _ := net.SplitHostPort(c.Listen) // was checked
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() && !slices.Contains(names, host) {
		names = append(names, host)
	}
	if urls = c.URLs; len(urls) == 0 {
		urls = []string{"https://" + net.JoinHostPort(names[0], port)}
	}
	for _, also := range []string{"localhost", "127.0.0.1", "::1"} {
		if !slices.Contains(names, also) {
			names = append(names, also)
		}
	}
	return names, urls
}
