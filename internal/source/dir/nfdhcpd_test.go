package dir

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-net/berth/internal/compat/nfdhcpd"
	"github.com/berth-net/berth/internal/manifest"
	"github.com/berth-net/berth/internal/source"
)

// nfdhcpdSite is a directory of binding files, watched.
type nfdhcpdSite struct {
	t       *testing.T
	dir     string
	updates chan source.Update
}

func newNFDHCPDSite(t *testing.T, made bool) *nfdhcpdSite {
	t.Helper()
	root := t.TempDir()
	s := &nfdhcpdSite{t: t, dir: filepath.Join(root, "lib", "nfdhcpd"), updates: make(chan source.Update, 100)}
	if made {
		must(t, os.MkdirAll(s.dir, 0o755))
	}
	from := NewNFDHCPD(nfdhcpd.Config{
		Datapath: s.dir, EnableDHCP: true, LeaseLifetime: 3600, LeaseRenewal: 600, ServerIP: netip.MustParseAddr("192.0.2.1"), RAPeriod: 300,
	})
	from.Cache = filepath.Join(root, "last-good")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- from.Run(ctx, func(u source.Update) { s.updates <- u }) }()
	t.Cleanup(func() { stop(); must(t, <-done) })
	return s
}

// says waits until the source says exactly this: NIC=address, ! if stale.
func (s *nfdhcpdSite) says(want string) source.Update {
	s.t.Helper()
	limit := time.After(10 * time.Second)
	got, problems := "nothing", []manifest.Problem(nil)
	for {
		select {
		case u := <-s.updates:
			var all []string
			problems = u.Problems
			for _, b := range u.Bindings {
				mark := ""
				if _, stale := u.Stale[b.NIC]; stale {
					mark = "!"
				}
				all = append(all, fmt.Sprintf("%s=%s%s", b.NIC, b.Delivered().Addr(), mark))
			}
			if got = strings.Join(all, " "); got == want {
				return u
			}
		case <-limit:
			s.t.Fatalf("it says %q, want %q; problems %v", got, want, problems)
		}
	}
}

func tapFile(name string, last int) string {
	return fmt.Sprintf("INDEV=%s\nIP=203.0.113.%d\nMAC=AA:00:00:00:00:%02X\nHOSTNAME=web\nSUBNET=203.0.113.0/24\nMTU=\nPRIVATE=\n", name, last, last)
}

func (s *nfdhcpdSite) write(name string, last int) {
	s.t.Helper()
	must(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(tapFile(name, last)), 0o644))
}

func TestBindingFilesComeAndGo(t *testing.T) {
	s := newNFDHCPDSite(t, false)
	s.says("")
	must(t, os.MkdirAll(s.dir, 0o755)) // the directory is made later
	s.write("tap0", 10)                // before any interface of this name
	u := s.says("tap0=203.0.113.10")
	if b := u.Bindings[0]; u.Source != "nfdhcpd" || b.Origin.Source != "nfdhcpd" || b.MAC.String() != "aa:00:00:00:00:0a" {
		t.Errorf("source %q, origin %+v, MAC %s", u.Source, b.Origin, b.MAC)
	}
	must(t,
		os.WriteFile(s.dir+"/.tap1.tmp", []byte(tapFile("tap1", 11)), 0o644),
		os.Rename(s.dir+"/.tap1.tmp", s.dir+"/tap1"))
	s.says("tap0=203.0.113.10 tap1=203.0.113.11")
	must(t, os.WriteFile(s.dir+"/tap0", []byte("MAC=\n"), 0o644))
	u = s.says("tap0=203.0.113.10! tap1=203.0.113.11")
	if len(u.Problems) == 0 || !strings.Contains(u.Problems[0].Error(), "MAC") {
		t.Errorf("problems %v", u.Problems)
	}
	s.write("tap0", 20)
	s.says("tap0=203.0.113.20 tap1=203.0.113.11")
	must(t, os.Rename(s.dir+"/tap1", filepath.Dir(s.dir)+"/tap1")) // moved out
	s.says("tap0=203.0.113.20")
	must(t, os.Remove(s.dir+"/tap0"))
	s.says("")
}

func TestBindingFileOfAnotherIsRefused(t *testing.T) {
	s := newNFDHCPDSite(t, true)
	elsewhere := filepath.Dir(s.dir) + "/tap0" // it must not be seen before
	must(t, os.WriteFile(elsewhere, []byte(tapFile("tap0", 10)), 0o600), os.Chmod(elsewhere, 0o666), os.Rename(elsewhere, s.dir+"/tap0"))
	s.says("")
	must(t, os.Chmod(s.dir+"/tap0", 0o644))
	s.says("tap0=203.0.113.10")
}
