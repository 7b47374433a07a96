package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/berth-net/berth/internal/api"
)

// node is berthd on the hypervisor, with its files in the room's directory.
type node struct {
	room   *room
	daemon *process
	client *api.Client
}

const nicsDir = "nics.d"

func (r *room) newNode() (*node, error) {
	if err := os.Mkdir(r.path(nicsDir), 0o755); err != nil {
		return nil, err
	}
	n := &node{room: r, client: api.NewClient(api.DefaultSocket)}
	if err := os.WriteFile(n.networksFile(), []byte(network+tenantNetworks), 0o644); err != nil {
		return nil, err
	}
	older, err := r.predecessors()
	if err != nil {
		return nil, err
	}
	return n, r.write("berthd.yaml", fmt.Sprintf("nics: %[1]s/nics.d\nnetworks: %[2]s\nstate: %[1]s/state\n%[3]s", r.dir, n.networksFile(), older))
}

// start starts berthd and waits until it answers.
func (n *node) start() error {
	var err error
	n.daemon, err = n.room.start("berthd", hypervisor, filepath.Join(n.room.bin, "berthd"), "-config", n.room.path("berthd.yaml"))
	if err != nil {
		return err
	}
	err = n.room.until(10*time.Second, "berthd to answer", func() bool {
		st, err := n.client.Status(n.room.ctx)
		return err == nil && len(st.Sources) > 0 && !slices.ContainsFunc(st.Sources, unread)
	})
	return n.explain(err)
}

// unread knows a source that was not read yet; the socket never is.
func unread(s api.Source) bool { return s.Name != "socket" && s.Read.IsZero() }

// kill ends berthd as a crash would: nothing is told or cleaned up.
func (n *node) kill() { n.daemon.stop(syscall.SIGKILL) }

// explain adds what berthd said to an error.
func (n *node) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nberthd says:\n%s", err, n.daemon.tail())
}

func (n *node) bindingFile(v *vm) string { return filepath.Join(n.room.path(nicsDir), v.name+".yaml") }

func (n *node) networksFile() string { return n.room.path("networks.yaml") }

// bind writes a binding as docs/binding.md asks: renamed into place.
func (n *node) bind(v *vm, says string) error {
	file := n.bindingFile(v)
	hidden := filepath.Join(filepath.Dir(file), "."+filepath.Base(file))
	if err := os.WriteFile(hidden, []byte(binding(v, says)), 0o644); err != nil {
		return err
	}
	return os.Rename(hidden, file)
}

// waitInForce waits until guard and answer of a NIC are in the kernel as its
// file says.
func (n *node) waitInForce(v *vm) error {
	want, err := n.declared(v)
	if err != nil {
		return err
	}
	err = n.room.until(10*time.Second, v.tap()+" in force", func() bool {
		nic, err := n.client.NIC(n.room.ctx, v.tap())
		return err == nil && nic.State == api.InForce &&
			slices.Equal(nic.Addresses, want.Addresses) && slices.Equal(nic.SLAAC, want.SLAAC)
	})
	return n.explain(err)
}

// waitState waits until a NIC is in a state.
func (n *node) waitState(v *vm, want api.State) error {
	return n.explain(n.room.until(10*time.Second, fmt.Sprintf("%s %s", v.tap(), want), func() bool {
		nic, err := n.client.NIC(n.room.ctx, v.tap())
		return err == nil && nic.State == want
	}))
}

// show returns what berthd knows of a NIC.
func (n *node) show(v *vm) (api.NIC, error) {
	ctx, cancel := context.WithTimeout(n.room.ctx, 5*time.Second)
	defer cancel()
	return n.client.NIC(ctx, v.tap())
}

// berth runs the command line as an operator does and returns its lines.
func (n *node) berth(args ...string) ([]string, error) {
	argv := append([]string{filepath.Join(n.room.bin, "berth"), "--socket", api.DefaultSocket}, args...)
	out, err := n.room.exec(hypervisor, argv...)
	return strings.Split(strings.TrimRight(out, "\n"), "\n"), n.explain(err)
}
