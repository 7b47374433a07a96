package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/berth-net/berth/internal/api"
)

// result is one line of what a comparison writes.
type result struct {
	Peer        string `json:"peer"`
	Round       int    `json:"round"`
	Family      int    `json:"family"`
	Mode        string `json:"mode"`
	Outstanding int    `json:"outstanding"`
	Clients     int    `json:"clients"`
	sample
	ServerCPU float64 `json:"server_us"`  // of the server's process, an exchange
	Program   float64 `json:"program_us"` // of the programs at tap0, an exchange; measured apart
}

// perSecond is exchanges a second.
func (r result) perSecond() float64 { return r.rate() }

// cpu is what an exchange costs the machine, sender included.
func (r result) cpu() float64 { return r.ServerCPU + r.SenderCPU }

// task is one peer of one round; it has namespaces of its own.
type task struct {
	peer   string
	round  int
	family int
	span   time.Duration
	bin    string
	extra  string // a further line of berthd.yaml
	cpus   placement
}

func (t *task) flags(f *flag.FlagSet) {
	f.StringVar(&t.peer, "peer", "", "which server")
	f.IntVar(&t.round, "round", 1, "number of the round")
	f.IntVar(&t.family, "family", 4, "4 or 6")
	t.common(f)
}

func (t *task) common(f *flag.FlagSet) {
	f.DurationVar(&t.span, "for", 2*time.Second, "how long each measurement takes")
	f.StringVar(&t.bin, "bin", "bin", "directory of berthd and of the peers built here")
	f.StringVar(&t.extra, "config", "", "further line of every berthd.yaml")
	f.StringVar(&t.cpus.Server, "server-cpus", "1", "CPUs of the server, as taskset -c takes them")
	f.StringVar(&t.cpus.Sender, "sender-cpus", "0", "CPUs of the generator")
}

func (t *task) args() []string {
	return []string{
		"measure", "-peer", t.peer, "-round", strconv.Itoa(t.round), "-family", strconv.Itoa(t.family), "-for", t.span.String(),
		"-bin", t.bin, "-config", t.extra, "-server-cpus", t.cpus.Server, "-sender-cpus", t.cpus.Sender,
	}
}

// measure prints a result a line, as JSON.
func measure(args []string, out io.Writer) error {
	var t task
	f := flag.NewFlagSet("measure", flag.ContinueOnError)
	t.flags(f)
	if err := f.Parse(args); err != nil {
		return err
	}
	p, err := peerNamed(t.peer)
	if err != nil {
		return err
	}
	s, err := newStage(t.cpus)
	if err != nil {
		return err
	}
	srv, err := t.start(s, p)
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	r := &runner{task: t, peer: p, stage: s, server: srv}
	return errors.Join(r.all(json.NewEncoder(out)), srv.stop())
}

const manyClients = 64

// start starts the peer on the stage.
func (t *task) start(s *stage, p peer) (*server, error) {
	if p.echo {
		return &server{}, attachReflector(port)
	}
	at := &site{dir: s.dir, bin: t.bin, family: t.family, extra: t.extra}
	if p.name == daemonPeer {
		at.extra += "\nanswers: daemon\n"
	}
	for i := range manyClients {
		at.clients = append(at.clients, newClient(i))
	}
	if err := at.write(p.files(at)); err != nil {
		return nil, err
	}
	srv := &server{log: filepath.Join(s.dir, "log")}
	if err := srv.start(t.cpus.Server, p.command(at)); err != nil {
		return nil, err
	}
	if p.berth {
		return srv, attached(at.file("s.sock"))
	}
	return srv, nil
}

// haveTCX tells whether the kernel has tcx at all (Linux 6.6).
func haveTCX() bool {
	iface, err := net.InterfaceByName(port)
	if err != nil {
		return false
	}
	_, err = link.QueryPrograms(link.QueryOptions{Target: iface.Index, Attach: ebpf.AttachTCXIngress})
	return err == nil
}

// attached waits until berth's programs hang where they stay.
func attached(socket string) error {
	client := api.NewClient(socket)
	return poll(20*time.Second, func(ctx context.Context) error {
		n, err := client.NIC(ctx, port)
		if err == nil && (n.State != api.InForce || n.Installed == nil || n.Installed.Attach != "tcx" && haveTCX()) {
			err = fmt.Errorf("%s is %s", port, n.State)
		}
		return err
	})
}

// server is a peer's process; without one the kernel answers alone.
type server struct {
	cmd *exec.Cmd
	log string
}

func (s *server) start(cpus string, command []string) error {
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = pinned(cpus, command...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	return s.cmd.Start()
}

func (s *server) cpu() (time.Duration, error) {
	if s.cmd == nil {
		return 0, nil
	}
	return cpuOf(s.cmd.Process.Pid)
}

func (s *server) stop() error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Signal(unix.SIGTERM)
	_ = s.cmd.Wait() // of some, SIGTERM is a failure
	return err
}

// said is the end of the server's own log, for when it does not answer.
func (s *server) said() string {
	text, _ := os.ReadFile(s.log)
	return strings.TrimSpace(string(text[max(0, len(text)-600):]))
}

// runner measures one peer.
type runner struct {
	task
	peer   peer
	stage  *stage
	server *server
}

func (r *runner) all(out *json.Encoder) error {
	for _, mode := range []string{lease, renew} {
		for _, n := range []int{1, manyClients} {
			res, err := r.one(r.order(mode, n))
			if err != nil {
				return fmt.Errorf("%s, DHCPv%d %s with %d: %w\n%s", r.peer.name, r.family, mode, n, err, r.server.said())
			}
			if err := out.Encode(res); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *runner) order(mode string, n int) order {
	o := order{
		Iface: "eth0", Family: r.family, Mode: mode, Echo: r.peer.echo, Outstanding: n, Clients: 1,
		Ready: 15 * time.Second, GiveUp: time.Second, Warm: 300 * time.Millisecond, For: r.span,
	}
	if r.peer.many {
		o.Clients = n
	}
	if r.peer.slow && n > 1 {
		o.Warm, o.For, o.GiveUp = 5*time.Second, 4*r.span, 10*time.Second
	}
	return o
}

func (r *runner) one(o order) (result, error) {
	res := result{Peer: r.peer.name, Round: r.round, Family: r.family, Mode: o.Mode, Outstanding: o.Outstanding, Clients: o.Clients}
	before, err := r.server.cpu()
	if err != nil {
		return res, err
	}
	if res.sample, err = r.stage.generate(o); err != nil {
		return res, err
	}
	after, err := r.server.cpu()
	if err != nil {
		return res, err
	}
	res.ServerCPU = micros(after-before) / float64(res.All)
	res.Program, err = r.programs(o)
	return res, err
}

// programs measures what the programs at tap0 use of an exchange. Statistics
// slow them down, so that nothing else is measured meanwhile.
func (r *runner) programs(o order) (float64, error) {
	ids, err := programsOf(port)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return 0, err
	}
	defer stats.Close()
	before, err := runTime(ids)
	if err != nil {
		return 0, err
	}
	o.For = r.span / 4
	s, err := r.stage.generate(o)
	if err != nil {
		return 0, err
	}
	after, err := runTime(ids)
	return float64(after-before) / 1000 / float64(s.All), err
}
