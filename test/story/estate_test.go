package story_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/berth-net/berth/internal/api"
	resource "github.com/berth-net/berth/internal/fleet"
	rest "github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/testenv"
)

// estate is a site with a controller: replicas on a host that is also the
// switch of the management network, and nodes on one LAN.
type estate struct {
	t        testing.TB
	head     *testenv.NS
	lan      *testenv.NS // its bridge is called lan
	dir      string
	replicas []*replica
	members  []*member
}

// replica is one controller.
type replica struct {
	name, dir, address string
	e                  *estate
	site               *rest.Client // an operator's, over the socket
	p                  *process
}

// member is a node of the estate.
type member struct {
	*node
	e    *estate
	name string
}

// estateFile is what all estates have.
const estateFile = `kind: project
name: red
---
kind: network
name: lan
projects: [red]
prefixes: [192.0.2.0/24, "2001:db8:1::/64"]
defaults: {gateway: 192.0.2.1, gateway6: "fe80::1", dns: [192.0.2.53, "2001:db8::53"]}
---
kind: pool
name: public
network: lan
default: true
ranges: [192.0.2.10-192.0.2.99]
---
kind: pool
name: public6
network: lan
default: true
ranges: ["2001:db8:1::10-2001:db8:1::99"]
`

// newEstate starts replicas, one with an etcd of its own or several over one
// that runs by itself, and declares the site. There are no nodes yet.
func newEstate(t testing.TB, replicas int) *estate {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "site-") // short: a socket's path is at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	e := &estate{t: t, head: testenv.NewNS(t), lan: testenv.NewNS(t), dir: dir}
	testenv.Bridge(t, e.head, "mgmt")
	testenv.Bridge(t, e.lan, "lan")
	e.lan.Exec("ip", "address", "add", "192.0.2.1/24", "dev", "lan")
	more := ""
	if replicas > 1 {
		more = e.cluster()
	}
	var urls []string
	for i := range replicas {
		urls = append(urls, fmt.Sprintf("https://10.9.0.%d:7443", i+1))
	}
	for i := range replicas {
		e.addReplica(i, fmt.Sprintf("urls: [%s]\n%s", strings.Join(urls, ", "), more))
	}
	e.replicas[0].apply(estateFile)
	return e
}

// cluster starts an etcd, and returns what replicas are told of it and of the CA
// that they share.
func (e *estate) cluster() string {
	e.t.Helper()
	self, err := os.Executable()
	if err != nil {
		e.t.Fatal(err)
	}
	start(e.t, e.head, "env", etcdEnv+"="+e.dir+"/etcd", self)
	return fmt.Sprintf("etcd: {endpoints: ['http://127.0.0.1:2379']}\nca: {cert: %[1]s/c1/ca.crt, key: %[1]s/c1/ca.key}\n", e.dir)
}

// serveEtcd is an etcd of one member, until it is killed.
func serveEtcd(dir string) error {
	c := embed.NewConfig()
	c.Name, c.Dir = "m", dir
	client, peer := url.URL{Scheme: "http", Host: "127.0.0.1:2379"}, url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	c.InitialCluster = "m=" + peer.String()
	c.MaxTxnOps = 20000
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	return <-e.Err()
}

func (e *estate) addReplica(i int, more string) {
	e.t.Helper()
	r := &replica{e: e, name: fmt.Sprintf("c%d", i+1), address: fmt.Sprintf("10.9.0.%d", i+1)}
	r.dir = filepath.Join(e.dir, r.name)
	if i > 0 {
		more = strings.ReplaceAll(more, "/"+r.name+"/", "/c1/")
	} else {
		more = withoutCA(more) // it makes the one that the others are given
	}
	conf := fmt.Sprintf("name: %s\ndata: %s\nlisten: %s:7443\nnames: [%s]\nsocket: {path: %s.sock}\n%s",
		r.name, r.dir, r.address, r.address, r.dir, more)
	if err := os.WriteFile(r.dir+".yaml", []byte(conf), 0o600); err != nil {
		e.t.Fatal(err)
	}
	e.head.Exec("ip", "address", "add", r.address+"/24", "dev", "mgmt")
	var err error
	if r.site, err = rest.New(rest.Options{URL: "unix:" + r.dir + ".sock"}); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(r.site.Close)
	e.replicas = append(e.replicas, r)
	r.start()
}

func withoutCA(more string) string {
	before, _, _ := strings.Cut(more, "ca: {")
	return before
}

// start runs the replica and waits until it answers.
func (r *replica) start(flags ...string) {
	r.e.t.Helper()
	argv := append([]string{program(r.e.t, "berth-controller"), "-config", r.dir + ".yaml"}, flags...)
	r.p = start(r.e.t, r.e.head, argv...)
	testenv.Wait(r.e.t, 20*time.Second, r.name+" to answer", func() bool {
		select {
		case <-r.p.done:
			r.e.t.Fatalf("%s ended:\n%s", r.name, r.p.out)
		default:
		}
		_, err := r.site.Ready(r.e.t.Context())
		return err == nil
	})
}

// berth runs the command line as an operator of the replica.
func (r *replica) berth(args ...string) string {
	r.e.t.Helper()
	config := r.dir + ".contexts"
	if _, err := os.Stat(config); err != nil {
		r.e.head.Exec("env", "XDG_CONFIG_HOME="+config, program(r.e.t, "berth"), "context", "add", "site", "unix:"+r.dir+".sock")
	}
	return r.e.head.Exec(append([]string{"env", "XDG_CONFIG_HOME=" + config, program(r.e.t, "berth")}, args...)...)
}

// apply declares resources.
func (r *replica) apply(text string, flags ...string) {
	r.e.t.Helper()
	file := r.dir + ".apply"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.e.t.Fatal(err)
	}
	r.berth(append([]string{"apply", "-f", file}, flags...)...)
}

// addNode makes a host on both networks and enrols it.
func (e *estate) addNode(name string) *member {
	e.t.Helper()
	m := &member{node: newNode(e.t, ""), e: e, name: name}
	e.members = append(e.members, m)
	for _, w := range []struct {
		at         *testenv.NS
		bridge, as string
	}{{e.head, "mgmt", "mgmt0"}, {e.lan, "lan", "lan0"}} {
		w.at.Exec("ip", "link", "add", name, "type", "veth", "peer", "name", w.as, "netns", m.ns.Name)
		w.at.SetMaster(name, w.bridge)
		w.at.SetUp(name)
		m.ns.SetUp(w.as)
	}
	m.ns.Exec("ip", "address", "add", fmt.Sprintf("10.9.0.%d/24", 100+len(e.members)), "dev", "mgmt0")
	testenv.Bridge(e.t, m.ns, "br0", "lan0")
	r := e.replicas[0]
	r.apply("kind: node\nname: " + name)
	token := strings.Fields(r.berth("node", "token", name))
	m.ns.Exec(program(e.t, "berth"), "enrol", "--dir", m.dir+"/state/controller", "https://"+r.address+":7443", token[len(token)-1])
	m.start()
	e.waitConnected(m)
	return m
}

// waitConnected waits until a running replica says that a node is connected.
func (e *estate) waitConnected(m *member) {
	e.t.Helper()
	testenv.Wait(e.t, 20*time.Second, m.name+" to be connected", func() bool {
		st, err := e.running().site.NodeStatus(e.t.Context(), m.name)
		return err == nil && st.Connected
	})
}

// running is the first replica that has not ended.
func (e *estate) running() *replica {
	e.t.Helper()
	for _, r := range e.replicas {
		select {
		case <-r.p.done:
		default:
			return r
		}
	}
	e.t.Fatal("no replica runs")
	return nil
}

// addVM has a NIC granted, and makes the VM with what it got on its node.
func (e *estate) addVM(name string, on *member, more string) *guest {
	e.t.Helper()
	r := e.running()
	r.apply(nicText(name, on, more))
	n := e.granted(name)
	g := on.plug(name, n)
	r.waitInForce(name)
	return g
}

func nicText(name string, on *member, more string) string {
	return fmt.Sprintf("kind: nic\nname: %s\nproject: red\nnetwork: lan\nnode: %s\n%s", name, on.name, more)
}

// plug makes a guest with what a NIC was granted at a port of the node.
func (m *member) plug(port string, n *resource.NIC) *guest {
	m.t.Helper()
	g := newGuest(m.t, m.node, port, n.Granted.MAC)
	g.addr = n.Granted.Addresses[0].Addr()
	m.ns.SetMaster(port, "br0")
	return g
}

// granted is a NIC as the controller has it.
func (e *estate) granted(name string) *resource.NIC {
	e.t.Helper()
	doc, err := e.running().site.Get(e.t.Context(), resource.KindNIC, name)
	if err != nil {
		e.t.Fatal(err)
	}
	n := new(resource.NIC)
	if err := json.Unmarshal(doc, n); err != nil || n.Granted == nil {
		e.t.Fatalf("%v: %s", err, doc)
	}
	return n
}

// waitInForce waits until the controller knows that a NIC is in force as it is.
func (r *replica) waitInForce(name string) {
	r.e.t.Helper()
	testenv.Wait(r.e.t, 20*time.Second, name+" in force", func() bool {
		st, err := r.site.NICStatus(r.e.t.Context(), name)
		return err == nil && st.InForce && !slices.ContainsFunc(st.Nodes, func(s resource.Status) bool {
			return s.State != string(api.InForce)
		})
	})
}

// noted is how often something of a NIC has changed in the kernel, or its
// state, as its node tells of it.
func (m *member) noted(nic string) int {
	m.t.Helper()
	n := 0
	for _, e := range m.events() {
		if e.NIC == nic && e.Kind != "answered" && e.Kind != "ignored" && e.Kind != "dropped" {
			n++
		}
	}
	return n
}
