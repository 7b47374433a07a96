package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/berth-net/berth/internal/disk"
	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

// contexts are the controllers that a user knows, as his file has them.
type contexts struct {
	Current  string        `json:"current,omitempty"`
	Contexts []siteContext `json:"contexts"`
}

// siteContext says where a controller is, and how the user shows who he is.
// There are names of files in it, and no secret.
type siteContext struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	CA          string `json:"ca,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	TokenFile   string `json:"token-file,omitempty"`
}

// contextsFile is where they are; an error if there is no home.
func (a *app) contextsFile() (string, error) {
	dir := a.getenv("XDG_CONFIG_HOME")
	if dir == "" {
		home := a.getenv("HOME")
		if home == "" {
			return "", errors.New("HOME is not set: there is no place for contexts")
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "berth", "contexts.yaml"), nil
}

// readContexts returns none if there is no file.
func (a *app) readContexts() (all contexts, err error) {
	path, err := a.contextsFile()
	if err != nil {
		return all, err
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return all, err
	}
	// Whoever writes it chooses whom the user's token is sent to.
	if st.Mode().Perm()&0o022 != 0 {
		return all, fmt.Errorf("%s can be written by others than its owner (mode %04o): chmod 600", path, st.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return all, err
	}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&all); err != nil {
		return all, fmt.Errorf("%s:%s", path, syntaxError(err))
	}
	return all, nil
}

func (a *app) writeContexts(all contexts) error {
	path, err := a.contextsFile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	all.Contexts = append([]siteContext{}, all.Contexts...) // [], not null
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	text, err := toYAML(raw)
	if err != nil {
		return err
	}
	return disk.Replace(path, text)
}

// find returns the place of a context.
func (c contexts) find(name string) (int, error) {
	i := slices.IndexFunc(c.Contexts, func(s siteContext) bool { return s.Name == name })
	switch {
	case i >= 0:
		return i, nil
	case len(c.Contexts) == 0:
		return 0, usage("there is no context %q, nor any other: see berth context add", name)
	}
	return 0, usage("there is no context %q; there are %s", name, strings.Join(c.names(), ", "))
}

func (c contexts) names() []string {
	names := make([]string, len(c.Contexts))
	for i, s := range c.Contexts {
		names[i] = s.Name
	}
	return names
}

// chosen is the context that --context, BERTH_CONTEXT or `context use` names,
// else the controller of this host.
func (a *app) chosen() (siteContext, error) {
	all, err := a.readContexts()
	if a.context == "" && err == nil && all.Current == "" || a.context == "" && a.getenv("HOME") == "" {
		return siteContext{URL: "unix:" + a.controller}, nil
	}
	if err != nil {
		return siteContext{}, err
	}
	name := a.context
	if name == "" {
		name = all.Current
	}
	i, err := all.find(name)
	if err != nil {
		return siteContext{}, err
	}
	return all.Contexts[i], nil
}

// site is the client of the chosen controller.
func (a *app) site() (*client.Client, error) {
	s, err := a.chosen()
	if err != nil {
		return nil, err
	}
	c, err := s.client()
	if err != nil && s.Name != "" {
		return nil, fmt.Errorf("context %s: %w", s.Name, err)
	}
	return c, err
}

func (s siteContext) client() (*client.Client, error) {
	o := client.Options{URL: s.URL}
	var err error
	if s.CA != "" {
		if o.CA, err = os.ReadFile(s.CA); err != nil {
			return nil, err
		}
	}
	if s.TokenFile != "" {
		// Read anew each time: what another program renews is good as well.
		token, err := readSecret(s.TokenFile)
		if err != nil {
			return nil, err
		}
		o.Token = strings.TrimSpace(string(token))
	}
	if s.Certificate != "" {
		if o.Certificate, err = s.keyPair(); err != nil {
			return nil, err
		}
	}
	return client.New(o)
}

func (s siteContext) keyPair() (*tls.Certificate, error) {
	cert, err := os.ReadFile(s.Certificate)
	if err != nil {
		return nil, err
	}
	key, err := readSecret(s.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Certificate, err)
	}
	return &pair, nil
}

// readSecret refuses a file that everybody can read.
func readSecret(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := st.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("%s is a secret that everybody can read (mode %04o): chmod 600", path, mode)
	}
	return os.ReadFile(path)
}

// check refuses what could never work, before it is written.
func (s siteContext) check() error {
	switch {
	case !fleet.ValidName(s.Name):
		return usage("%q is no name of a context: letters, digits, '-', '.' and '_' are allowed", s.Name)
	case (s.Certificate == "") != (s.Key == ""):
		return usage("--certificate and --key need each other")
	case s.TokenFile != "" && s.Certificate != "":
		return usage("give either a token or a certificate: a controller takes one")
	case strings.HasPrefix(s.URL, "unix:") && (s.CA != "" || s.Certificate != ""):
		return usage("a socket has no TLS: leave the certificates out")
	}
	if _, err := client.New(client.Options{URL: s.URL}); err != nil {
		return usage("%w", err)
	}
	_, err := s.client()
	return err
}

// absolute makes the names of files good from everywhere.
func (s *siteContext) absolute() error {
	for _, name := range []*string{&s.CA, &s.Certificate, &s.Key, &s.TokenFile} {
		if *name == "" {
			continue
		}
		path, err := filepath.Abs(*name)
		if err != nil {
			return err
		}
		*name = path
	}
	return nil
}
