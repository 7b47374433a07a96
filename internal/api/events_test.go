package api_test

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/api/apitest"
	"github.com/berth-net/berth/internal/testenv"
)

// follow returns a function that gives the next event.
func follow(t *testing.T, c *api.Client, q api.EventQuery) func() api.Event {
	t.Helper()
	next, stop := iter.Pull2(c.Events(t.Context(), q))
	t.Cleanup(stop)
	return func() api.Event {
		t.Helper()
		e, err, ok := next()
		if err != nil || !ok {
			t.Fatalf("no further event: %v", err)
		}
		return e
	}
}

func TestFollow(t *testing.T) {
	node := apitest.New(16)
	node.AddLink("tap1", 1)
	c := api.NewClient(start(t, node).socket)
	all := follow(t, c, api.EventQuery{Follow: true})
	two := follow(t, c, api.EventQuery{Follow: true, NIC: "tap2"})
	if e := all(); e.Seq != 1 || e.NIC != "tap1" {
		t.Errorf("first event %+v, want number 1 of tap1", e)
	}
	node.AddLink("tap2", 2)
	want := api.Event{Seq: 2, Time: apitest.Epoch, NIC: "tap2", Index: 2, Kind: "guarded", Text: "tap2 guarded"}
	for _, next := range []func() api.Event{all, two} {
		if diff := cmp.Diff(want, next()); diff != "" {
			t.Errorf("second event (-want +got):\n%s", diff)
		}
	}
}

// TestKeepAlive: an idle stream says so, and the client takes no notice.
func TestKeepAlive(t *testing.T) {
	node := apitest.New(16)
	hurry := func(s *api.Server) { s.Hurry(5*time.Millisecond, time.Minute) }
	s := start(t, node, hurry)
	resp, err := httpClient(t, s.socket).Get("http://berthd/v1/events?follow=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	next := follow(t, api.NewClient(s.socket), api.EventQuery{Follow: true})
	in := bufio.NewReader(resp.Body)
	for range 3 {
		if line, err := in.ReadString('\n'); line != "\n" || err != nil {
			t.Fatalf("idle stream has %q, %v", line, err)
		}
	}
	node.AddLink("tap1", 1)
	if e := next(); e.NIC != "tap1" {
		t.Errorf("event %+v", e)
	}
}

// TestSlowReader: one who doesn't read holds up nobody, and learns exactly how
// much it has lost.
func TestSlowReader(t *testing.T) {
	const keep, total = 64, 20_000
	node := apitest.New(keep)
	s := start(t, node)
	conn := slowStream(t, s.socket)
	pad := strings.Repeat("x", 1000) // 20 MB in all: no socket buffer holds that
	begun := time.Now()
	for range total {
		node.Add(api.Event{Time: apitest.Epoch, Kind: "dropped", Text: pad})
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("adding took %s: the reader holds the node up", took)
	}
	seen, missed := drain(t, conn, total)
	if missed == 0 || seen+missed != total {
		t.Errorf("%d events seen and %d missed, want %d together and some missed", seen, missed, total)
	}
}

// slowStream begins to follow and reads no more than the first line.
func slowStream(t *testing.T, socket string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /v1/events?follow=1 HTTP/1.1\r\nHost: berthd\r\n\r\n")
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" || err != nil {
		t.Fatalf("the stream begins with %q, %v", line, err)
	}
	return in
}

// drain reads a stream up to the event of the given number and checks that
// numbers have no gap that is not accounted for.
func drain(t *testing.T, in *bufio.Reader, last uint64) (seen, missed uint64) {
	t.Helper()
	// The first line was read already.
	head := strings.NewReader("HTTP/1.1 200 OK\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(head, in)), nil) //nolint:bodyclose // see below
	if err != nil {
		t.Fatal(err)
	}
	// Closing the body would read the endless stream to its end; the
	// connection is closed by whoever made it.
	at := uint64(0)
	for e := range api.DecodeEvents(resp.Body) {
		if e.Kind == api.KindMissed {
			missed += e.Missed
			at += e.Missed
		} else {
			seen++
			at++
		}
		if e.Seq != at {
			t.Fatalf("%s event has number %d, want %d", e.Kind, e.Seq, at)
		}
		if e.Seq == last {
			return seen, missed
		}
	}
	t.Fatalf("the stream ended at %d", at)
	return
}

// TestStuckReader: one who takes nothing for the write time is cut off, and
// its place is free for another.
func TestStuckReader(t *testing.T) {
	node := apitest.New(4096)
	s := start(t, node, func(s *api.Server) { s.Hurry(time.Minute, 50*time.Millisecond) })
	in := slowStream(t, s.socket)
	for range 4096 {
		node.Add(api.Event{Kind: "dropped", Text: strings.Repeat("x", 1000)})
	}
	time.Sleep(300 * time.Millisecond) //nolint:forbidigo // six times what it may take; there is nothing to wait for
	n := 0
	for ; ; n++ {
		if _, err := in.ReadString('\n'); err != nil {
			break
		}
	}
	if n >= 4096 {
		t.Errorf("%d lines came, the stream was not cut", n)
	}
}

func TestTooManyFollowers(t *testing.T) {
	node := apitest.New(16)
	node.AddLink("tap1", 1)
	s := start(t, node)
	for range api.MaxFollowers {
		follow(t, api.NewClient(s.socket), api.EventQuery{Follow: true})()
	}
	want := problem(503, "Service Unavailable", "32 readers follow the events already") + "\n"
	if diff := cmp.Diff(want, ask(t, httpClient(t, s.socket), "GET", "/v1/events?follow=1", "")); diff != "" {
		t.Errorf("one more (-want +got):\n%s", diff)
	}
	if got := ask(t, httpClient(t, s.socket), "GET", "/v1/events", ""); !strings.HasPrefix(got, "200 ") {
		t.Errorf("reading without following: %s", got)
	}
}

func TestEventLog(t *testing.T) {
	log := api.NewEventLog(3)
	for range 5 {
		log.Add(api.Event{Kind: "k"})
	}
	tests := []struct {
		name   string
		seq    uint64
		max    int
		seqs   []uint64
		missed uint64
	}{
		{"what is kept", 0, 9, []uint64{3, 4, 5}, 2},
		{"in order and bounded", 2, 2, []uint64{3, 4}, 0},
		{"the oldest is lost", 1, 9, []uint64{3, 4, 5}, 1},
		{"the newest", 4, 9, []uint64{5}, 0},
		{"nothing new", 5, 9, nil, 0},
		{"a number of an earlier agent", 99, 9, []uint64{3, 4, 5}, 2},
	}
	for _, tt := range tests {
		b, err := log.After(t.Context(), tt.seq, tt.max)
		var seqs []uint64
		for _, e := range b.Events {
			seqs = append(seqs, e.Seq)
		}
		if err != nil || b.Missed != tt.missed || !cmp.Equal(tt.seqs, seqs) {
			t.Errorf("%s: events %v, missed %d, %v; want %v, %d", tt.name, seqs, b.Missed, err, tt.seqs, tt.missed)
		}
	}
	b, _ := log.After(t.Context(), 5, 1)
	select {
	case <-b.More:
		t.Error("woken without an event")
	default:
	}
	log.Add(api.Event{})
	<-b.More
}

// A document that does not come costs its client the connection.
func TestBodyThatDoesNotCome(t *testing.T) {
	s := start(t, apitest.New(64), func(s *api.Server) { s.HurryBody(50 * time.Millisecond) })
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PUT /v1/nics/tap1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nnic"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(testenv.Limit(t, 10*time.Second))); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn) // to the end of the connection
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 400") {
		t.Errorf("%q, %v", got, err)
	}
}
