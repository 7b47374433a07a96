package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/api"
)

// alice is a user of the controller; her token is the lab's, not a secret.
const (
	alice      = "alice"
	aliceToken = "alice-of-the-demo"
)

func tokensFile() string {
	return fmt.Sprintf("tokens:\n- {name: %s, sha256: %x}\n", alice, sha256.Sum256([]byte(aliceToken)))
}

const controllerConf = `data: %[1]s/controller
listen: 10.9.0.1:7443
names: [10.9.0.1]
tokens: %[1]s/tokens.yaml
`

// lanFile is what the operator declares of the site.
const lanFile = `kind: project
name: db
quota: {vms: 4, nics: 8}
roles: {member: ["user:alice"]}
---
kind: network
name: lan
projects: [db]
prefixes: [10.1.0.0/24, "2001:db8:2::/64"]
hold: 1h
defaults:
  gateway: ` + lanRouter + `
  gateway6: ` + gateway6 + `
  dns: [10.1.0.53, "2001:db8::53"]
  mtu: 1450
  dhcp4: {lease: 12h}
  dhcp6: {preferred: 6h, valid: 12h}
---
kind: pool
name: public
network: lan
default: true
ranges: [10.1.0.10-10.1.0.99]
---
kind: pool
name: public6
network: lan
default: true
ranges: ["2001:db8:2::10-2001:db8:2::99"]
---
kind: node
name: n1
---
kind: node
name: n2
---
kind: policy
name: sizes
rules:
- name: image-size
  effect: deny
  when: request.vms.exists(v, v.image.size > 8 * GiB)
  message: >-
    request.vms.filter(v, v.image.size > 8 * GiB)
    .map(v, v.name + ": image.size " + string(v.image.size) + " is more than 8 GiB").join("; ")
`

const memberConf = `nics: %[1]s/%[2]s/nics.d
networks: %[1]s/%[2]s/networks.yaml
state: %[1]s/%[2]s/state
bpf: %[1]s/bpf/%[2]s
socket: {path: %[1]s/%[2]s/sock}
`

// buildHosts makes the controller's host, the LAN and the nodes.
func (e *estate) buildHosts() error {
	// `ip netns exec` hides what is mounted below /sys.
	pins := e.path("bpf")
	if err := errors.Join(os.Mkdir(pins, 0o755), unix.Mount("bpf", pins, "bpf", 0, "")); err != nil {
		return fmt.Errorf("mount %s: %w", pins, err)
	}
	for _, ns := range []string{head, lan, "n1", "n2"} {
		if err := e.addNamespace(ns); err != nil {
			return err
		}
	}
	err := errors.Join(
		e.execAll(head, "ip link add mgmt type bridge stp_state 0 forward_delay 0", "ip link set mgmt up", "ip address add 10.9.0.1/24 dev mgmt"),
		e.execAll(lan, "ip link add lan type bridge stp_state 0 forward_delay 0", "ip link set lan up", "ip address add "+lanRouter+"/24 dev lan"),
		e.number6(lan, lan, gateway6+"/64", lanRouter6+"/64"),
	)
	for i, name := range []string{"n1", "n2"} {
		if err != nil {
			return err
		}
		err = e.addMember(name, fmt.Sprintf("10.9.0.%d/24", 11+i))
	}
	return err
}

func (e *estate) addMember(name, address string) error {
	m := &member{room: e.room, name: name, client: api.NewClient(e.path(name) + "/sock")}
	e.nodes = append(e.nodes, m)
	err := e.execAll(hypervisor,
		"ip -n "+head+" link add "+name+" type veth peer name mgmt0 netns "+name,
		"ip -n "+head+" link set "+name+" master mgmt up",
		"ip -n "+name+" address add "+address+" dev mgmt0",
		"ip -n "+name+" link set mgmt0 up",
		"ip -n "+lan+" link add "+name+" type veth peer name lan0 netns "+name,
		"ip -n "+lan+" link set "+name+" master lan up",
		"ip -n "+name+" link add br0 type bridge stp_state 0 forward_delay 0",
		"ip -n "+name+" link set br0 up",
		"ip -n "+name+" link set lan0 master br0 up",
	)
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(m.dir()+"/nics.d", 0o755), e.write(name+"/berthd.yaml", fmt.Sprintf(memberConf, e.dir, name))); err != nil {
		return err
	}
	if m.lan, err = e.listen(lan, name); err != nil {
		return err
	}
	return e.waitPorts(head, lan, name)
}

// hub is the namespace of the wire that a VM has which moves.
func hub(v string) string { return v + "-wire" }

// plugAt makes the VM's NIC, with the MAC that it was granted, and its host
// side on a node.
func (e *estate) plugAt(v *vm, node string) error {
	return e.execAll(hypervisor,
		fmt.Sprintf("ip -n %s link add %s type veth peer name eth0 netns %s address %s", node, v.tap(), v.name, v.mac),
		"ip -n "+node+" link set "+v.tap()+" master br0 up",
		"ip -n "+v.name+" link set eth0 up",
	)
}

// plugHub makes the NIC of a VM that is going to move: its wire ends at a hub,
// which has a port for each node, of which one passes frames.
func (e *estate) plugHub(v *vm) error {
	ns := hub(v.name)
	if err := e.addNamespace(ns); err != nil {
		return err
	}
	return e.execAll(hypervisor,
		"ip -n "+ns+" link add hub type bridge stp_state 0 forward_delay 0 ageing_time 0 mcast_snooping 0",
		"ip -n "+ns+" link set hub up",
		fmt.Sprintf("ip -n %s link add vm type veth peer name eth0 netns %s address %s", ns, v.name, v.mac),
		"ip -n "+ns+" link set vm master hub up",
		"ip -n "+v.name+" link set eth0 up",
	)
}

// plugTap makes a node's tap at the VM's hub.
func (e *estate) plugTap(v *vm, node string) error {
	ns := hub(v.name)
	err := e.execAll(hypervisor,
		fmt.Sprintf("ip -n %s link add %s type veth peer name %s netns %s", node, v.tap(), node, ns),
		"ip -n "+node+" link set "+v.tap()+" master br0 up",
		"ip -n "+ns+" link set "+node+" master hub up",
	)
	if err != nil {
		return err
	}
	return e.waitPorts(ns, node)
}

// passes has a port of the VM's hub pass frames, or none.
func (e *estate) passes(v *vm, node string, so bool) error {
	state := map[bool]string{true: "3", false: "0"}[so]
	return e.execAll(hub(v.name), "bridge link set dev "+node+" learning off", "bridge link set dev "+node+" state "+state)
}

// exitOf is a command's exit code; err is for one that did not run.
func exitOf(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}
