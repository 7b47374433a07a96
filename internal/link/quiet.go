package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// quiet are the settings that keep the host itself silent and deaf on a
// guest's port: no link-local, no RS, no MLD, no RA taken (OSSN-0069).
func quiet() [][2]string {
	return [][2]string{{"accept_ra", "0"}, {"addr_gen_mode", "1"}, {"disable_ipv6", "1"}}
}

func confDir(name string) (string, error) {
	if name == "" || name == "." || name == ".." || name == "all" || name == "default" || strings.ContainsRune(name, '/') {
		return "", fmt.Errorf("%q is not the name of a port", name)
	}
	return filepath.Join("/proc/sys/net/ipv6/conf", name), nil
}

// Quiet switches the host's own IPv6 off on a port. A kernel without IPv6 is
// quiet already.
func Quiet(name string) error {
	dir, err := confDir(name)
	if err != nil {
		return err
	}
	for _, s := range quiet() {
		err := os.WriteFile(filepath.Join(dir, s[0]), []byte(s[1]), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("quiet %s: %w", name, err)
		}
	}
	return nil
}

// IsQuiet reads back what Quiet sets.
func IsQuiet(name string) bool {
	dir, err := confDir(name)
	if err != nil {
		return false
	}
	for _, s := range quiet() {
		got, err := os.ReadFile(filepath.Join(dir, s[0]))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || strings.TrimSpace(string(got)) != s[1] {
			return false
		}
	}
	return true
}
