// Package controller tells stories of a whole site with the real programs:
// berth-controller with an etcd of its own, berth as people use it, and berthd
// on nodes, each in a namespace of its own. What it asserts is what people and
// nodes can see.
//
// Not here: anything a test closer to the code can show.
package controller_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// binDir is on the /run that testenv makes for this run alone.
const binDir = "/run/berth-bin"

// build makes the programs, once for a run.
var build = sync.OnceValue(func() error {
	if err := os.MkdirAll(binDir, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-o", binDir+"/", "../../cmd/berthd", "../../cmd/berth", "../../cmd/berth-controller")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
})

// site is a controller's host and two nodes, on one wire.
type site struct {
	t     *testing.T
	dir   string // short: a socket's path is at most 107 bytes
	head  *testenv.NS
	nodes []*testenv.NS // n1, n2
}

// The address of the controller's host; those of the nodes follow it.
const headAddress = "198.18.0.1"

func newSite(t *testing.T) *site {
	t.Helper()
	if err := build(); err != nil {
		t.Fatalf("build the programs: %v", err)
	}
	dir, err := os.MkdirTemp("/run", "site-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	s := &site{t: t, dir: dir, head: testenv.NewNS(t)}
	testenv.Bridge(t, s.head, "wire")
	s.head.Exec("ip", "addr", "add", headAddress+"/24", "dev", "wire")
	s.head.SetUp("wire")
	for i, name := range []string{"n1", "n2"} {
		s.addNode(name, i+2)
	}
	return s
}

func (s *site) addNode(name string, number int) {
	s.t.Helper()
	n := testenv.NewNS(s.t)
	testenv.Veth(s.t, s.head, name, n, "eth0", nic.MAC{0x52, 0x54, 0, 0, 0, byte(number)})
	s.head.SetMaster(name, "wire")
	n.Exec("ip", "addr", "add", fmt.Sprintf("198.18.0.%d/24", number), "dev", "eth0")
	s.head.SetUp(name)
	n.SetUp("eth0")
	s.nodes = append(s.nodes, n)
	dir := s.nodeDir(name)
	if err := os.MkdirAll(dir+"/nics.d", 0o755); err != nil {
		s.t.Fatal(err)
	}
	pins := "/sys/fs/bpf/" + filepath.Base(s.dir) + "-" + name
	s.t.Cleanup(func() {
		if err := os.RemoveAll(pins); err != nil {
			s.t.Error(err)
		}
	})
	s.write(dir+"/berthd.yaml", fmt.Sprintf("nics: %s/nics.d\nnetworks: %s/networks.yaml\nstate: %s/state\nbpf: %s\nsocket: {path: %s/sock}\n", dir, dir, dir, pins, dir), 0o644)
}

func (s *site) nodeDir(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(path, text string, mode os.FileMode) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		s.t.Fatal(err)
	}
}

// people have static tokens; their files are NAME.token. op is an operator.
var people = []string{"op", "alice", "bob", "eve"}

func (s *site) writeController() {
	s.t.Helper()
	tokens := "tokens:\n"
	for _, name := range people {
		secret := name + "-secret"
		sum := sha256.Sum256([]byte(secret))
		tokens += fmt.Sprintf("- {name: %s, sha256: %s}\n", name, hex.EncodeToString(sum[:]))
		s.write(s.dir+"/"+name+".token", secret+"\n", 0o600)
	}
	s.write(s.dir+"/tokens.yaml", tokens, 0o600)
	s.write(s.dir+"/controller.yaml", fmt.Sprintf(
		"data: %s/data\nname: c1\nnames: [%s]\nsocket: {path: %s/c.sock}\ntokens: %s/tokens.yaml\nuser-ca: %s/user-ca.crt\noperators: {subjects: ['user:op']}\n",
		s.dir, headAddress, s.dir, s.dir, s.dir), 0o644)
	s.writeCertificates()
	config := s.dir + "/home/.config/berth"
	if err := os.MkdirAll(config, 0o700); err != nil {
		s.t.Fatal(err)
	}
	contexts := fmt.Sprintf("current: local\ncontexts:\n- {name: local, url: 'unix:%s/c.sock'}\n", s.dir)
	for _, name := range people {
		contexts += fmt.Sprintf("- {name: %s, url: 'https://%s:7443', ca: %s/data/ca.crt, token-file: %s/%s.token}\n", name, headAddress, s.dir, s.dir, name)
	}
	s.write(config+"/contexts.yaml", contexts, 0o600)
}

// writeCertificates makes a CA of users, and carol of the group ops.
func (s *site) writeCertificates() {
	s.t.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "users"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caKey := s.certificate("user-ca", ca, ca, nil)
	s.certificate("carol", &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "carol", Organization: []string{"ops"}}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, ca, caKey)
}

// certificate writes NAME.crt and NAME.key; without a signer's key it signs
// itself.
func (s *site) certificate(name string, cert, signer *x509.Certificate, signerKey *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	if signerKey == nil {
		signerKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, signer, key.Public(), signerKey)
	if err != nil {
		s.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(s.dir+"/"+name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	s.write(s.dir+"/"+name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), 0o600)
	return key
}

// wrappers are what scripts run: `controller` and `berth` in the controller's
// host, `n1 COMMAND` and `n2 COMMAND` in a node, and `exits CODE COMMAND`.
func (s *site) wrappers() string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	enter := func(n *testenv.NS) string { return "exec nsenter --net=/run/netns/" + n.Name + " " }
	texts := map[string]string{
		"controller": enter(s.head) + binDir + "/berth-controller -config " + s.dir + `/controller.yaml "$@"`,
		"berth":      enter(s.head) + binDir + `/berth "$@"`,
		"exits":      `want=$1; shift; "$@"; got=$?; [ $got = $want ] || { echo "exit code $got, want $want" >&2; exit 1; }`,
	}
	for i, n := range s.nodes {
		name := fmt.Sprintf("n%d", i+1)
		texts[name] = "export PATH=" + binDir + ":$PATH BERTH_SOCKET=" + s.nodeDir(name) + "/sock\n" + enter(n) + `"$@"`
	}
	for name, text := range texts {
		s.write(filepath.Join(dir, name), "#!/bin/sh\n"+text+"\n", 0o755)
	}
	return dir
}

// TestScripts runs testdata/script/*.txtar, each with a site of its own.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	s := newSite(t)
	s.writeController()
	bin := s.wrappers()
	testscript.Run(t, testscript.Params{
		Files:               []string{file},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			e.Setenv("HOME", s.dir+"/home")
			e.Setenv("SITE", s.dir)
			e.Setenv("N1", s.nodeDir("n1"))
			e.Setenv("N2", s.nodeDir("n2"))
			e.Setenv("URL", "https://"+headAddress+":7443")
			e.Setenv("BERTH_CONTEXT", "")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"eventually": eventually, "terminate": terminate, "keep": keep,
		},
	})
}

// eventually COMMAND ARGS... waits until a command succeeds.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("in vain: %s: %v", strings.Join(args, " "), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// keep NAME COMMAND ARGS... keeps what a command prints, without the newline at
// its end, in the environment.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(ts.Exec(args[1], args[2:]...))
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// terminate [PROGRAM] sends SIGTERM to every background command, or to those of
// one program.
func terminate(ts *testscript.TestScript, _ bool, args []string) {
	for _, cmd := range ts.BackgroundCmds() {
		if len(args) == 0 || filepath.Base(cmd.Path) == args[0] {
			ts.Check(cmd.Process.Signal(syscall.SIGTERM))
		}
	}
}
