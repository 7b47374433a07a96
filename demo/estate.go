package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/berth-net/berth/internal/api"
	rest "github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
)

// The second act's places: the controller's host, which is also the switch of
// the management network; two nodes; and the LAN that both are on, with a
// router of its own.
const (
	head    = "head"
	lan     = "lan"
	headURL = "https://10.9.0.1:7443"
)

// The LAN that the VMs of the second act are on.
const (
	lanRouter  = "10.1.0.1"
	lanRouter6 = "2001:db8:2::1"
	lease      = 12 * time.Hour
)

// estate is the second act, scene after scene: a controller, its nodes and the
// VMs of a project.
type estate struct {
	*room
	*screen
	controller *process
	site       *rest.Client
	nodes      []*member
	vms        []*vm // db0 to db2
	begin      time.Time
}

func estateNames() []string { return []string{head, lan, "n1", "n2", "db0", "db1", "db2", hub("db0")} }

// member is a node: a host with berthd, and a bridge to the LAN.
type member struct {
	room   *room
	name   string
	lan    *wiretap // at the LAN's port to it
	daemon *process
	client *api.Client
}

func (m *member) dir() string { return m.room.path(m.name) }

// opening builds the second act's hosts and starts the controller.
func (e *estate) opening() error {
	e.close() // the first act's VMs and servers
	e.begin = time.Now()
	if err := e.buildHosts(); err != nil {
		return err
	}
	fmt.Fprintln(e.out, "\n"+e.paint("1", "A second act: a controller, two nodes on one LAN, and alice, who may write for the project db."))
	err := errors.Join(
		e.write("controller.yaml", fmt.Sprintf(controllerConf, e.dir)),
		e.write("lan.yaml", lanFile),
		os.Mkdir(e.path("alice"), 0o700),
		os.WriteFile(e.path("alice/token"), []byte(aliceToken), 0o600),
		os.WriteFile(e.path("tokens.yaml"), []byte(tokensFile()), 0o600),
	)
	if err != nil {
		return err
	}
	if e.site, err = rest.New(rest.Options{URL: "unix:" + wire.DefaultSocket}); err != nil {
		return err
	}
	started := time.Now()
	if err := e.startController(); err != nil {
		return err
	}
	e.line("berth-controller, with an etcd of its own inside, answers after %.1f s.", time.Since(started).Seconds())
	return nil
}

func (e *estate) startController() error {
	var err error
	e.controller, err = e.start("controller", head, e.bin+"/berth-controller", "-config", e.path("controller.yaml"))
	if err != nil {
		return err
	}
	return e.explain(e.until(20*time.Second, "the controller to answer", func() bool {
		_, err := e.site.Ready(e.ctx)
		return err == nil
	}))
}

// explain adds what everybody said to an error.
func (e *estate) explain(err error) error {
	if err == nil {
		return nil
	}
	text := "\nberth-controller says:\n" + e.controller.tail()
	for _, m := range e.nodes {
		if m.daemon != nil {
			text += "\nberthd of " + m.name + " says:\n" + m.daemon.tail()
		}
	}
	return fmt.Errorf("%w%s", err, text)
}

// as runs a command for somebody and prints it with what it says.
func (e *estate) as(who, command string) (said string, code int, err error) {
	e.prompt(who, command)
	said, code, err = e.quietly(who, command)
	for l := range strings.Lines(said) {
		e.verbatim(strings.TrimRight(l, "\n"))
	}
	return said, code, err
}

// quietly runs a command on a host, or as alice on the controller's: each has
// contexts of their own.
func (e *estate) quietly(who, command string) (said string, code int, err error) {
	ns, config := who, e.path("contexts-"+who)
	if who == alice {
		ns, config = head, e.path(alice)
	}
	said, err = e.exec(ns, "sh", "-c", fmt.Sprintf("exec 2>&1; cd %s && XDG_CONFIG_HOME=%s PATH=%s:$PATH && export XDG_CONFIG_HOME && %s",
		e.dir, config, e.bin, command))
	code, err = exitOf(err)
	return said, code, e.explain(err)
}

// enrolment declares the site and makes two hosts its nodes.
func (e *estate) enrolment() error {
	e.heading("12 The site is declared in one file, and its two nodes enrol, each with a token that is good once")
	said, code, err := e.as(head, "berth apply -f lan.yaml")
	if err != nil {
		return err
	}
	e.fact("exit code of apply", code, 0)
	e.fact("resources made", strings.Count(said, ": created"), 7)
	_, code, err = e.quietly(head, "berth apply -f lan.yaml | grep -v unchanged")
	e.fact("a second apply changes something: grep exits with", code, 1)
	for _, m := range e.nodes {
		err = cmp.Or(err, e.enrol(m))
	}
	if err != nil {
		return err
	}
	err = e.until(20*time.Second, "the nodes to be connected", func() bool {
		return !slices.ContainsFunc(e.nodes, func(m *member) bool { return !e.connected(m) })
	})
	if err != nil {
		return e.explain(err)
	}
	_, _, err = e.as(head, "berth node list")
	return err
}

func (e *estate) connected(m *member) bool {
	st, err := e.site.NodeStatus(e.ctx, m.name)
	return err == nil && st.Connected
}

func (e *estate) enrol(m *member) error {
	if err := m.start(); err != nil {
		return err
	}
	token, _, err := e.quietly(head, "berth node token "+m.name+" 2>/dev/null")
	if err != nil {
		return err
	}
	command := fmt.Sprintf("berth enrol --dir %s/state/controller %s ", m.name, headURL)
	e.prompt(m.name, command+"$(ssh head berth node token "+m.name+")")
	said, code, err := e.quietly(m.name, command+token)
	e.fact("exit code of enrol at "+m.name, code, 0)
	e.wrap(said)
	_, again, againErr := e.quietly(m.name, command+token)
	e.holds("a token is good once", again != 0)
	return cmp.Or(err, againErr)
}

// start starts berthd of a node and waits until it answers.
func (m *member) start() error {
	var err error
	m.daemon, err = m.room.start("berthd-"+m.name, m.name, m.room.bin+"/berthd", "-config", m.dir()+"/berthd.yaml")
	if err != nil {
		return err
	}
	return m.room.until(10*time.Second, "berthd of "+m.name, func() bool {
		st, err := m.client.Status(m.room.ctx)
		return err == nil && len(st.Sources) > 0 && !st.Sources[0].Read.IsZero()
	})
}

// kill ends berthd as a crash would.
func (m *member) kill() { m.daemon.stop(syscall.SIGKILL) }

// closing says how long the second act took.
func (e *estate) closing() error {
	e.line("")
	e.line("The second act took %.0f s.", time.Since(e.begin).Seconds())
	return nil
}

// lanBroadcast is the LAN's.
func lanBroadcast() netip.Addr { return netip.MustParseAddr("10.1.0.255") }

// own is a VM's IPv4 address.
func (e *estate) own(v *vm) (netip.Addr, error) {
	id, err := e.has(ask{v, v4})
	if err != nil {
		return netip.Addr{}, err
	}
	return netip.ParseAddr(id.addr())
}
