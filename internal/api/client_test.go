package api_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/api/apitest"
	"github.com/berth-net/berth/internal/nic"
)

// TestClientErrors: each refusal is the sentinel its caller branches on.
func TestClientErrors(t *testing.T) {
	node := apitest.New(16)
	node.DeclareFile("tap9", file9, "192.0.2.9/24")
	c := api.NewClient(start(t, node).socket)
	ctx := t.Context()
	_, notFound := c.NIC(ctx, "tap1")
	_, conflict := c.Delete(ctx, "tap9")
	_, invalid := c.Set(ctx, "tap7", []byte(doc8), api.SetOptions{})
	_, empty := c.Set(ctx, "tap7", nil, api.SetOptions{})
	_, name := c.NIC(ctx, "..")
	last, timeout := c.Wait(ctx, "tap9", 20*time.Millisecond)
	tests := []struct {
		err, is error
		text    string
	}{
		{notFound, api.ErrNotFound, "tap1: not found"},
		{conflict, api.ErrConflict, "tap9 is declared in /etc/berth/nics.d/tap9.yaml:1, remove it there: conflict"},
		{invalid, api.ErrInvalid, "tap7: the document is refused"},
		{empty, api.ErrInvalid, "the request has no document"},
		{name, api.ErrInvalid, `".." is not an interface name`},
		{timeout, api.ErrTimeout, "tap9 is not in force after 20ms: waiting (no host interface of that name yet)"},
	}
	for _, tt := range tests {
		if !errors.Is(tt.err, tt.is) || tt.err.Error() != tt.text {
			t.Errorf("got %v (is %v: %t), want %s", tt.err, tt.is, errors.Is(tt.err, tt.is), tt.text)
		}
	}
	if last.State != api.Waiting {
		t.Errorf("the timeout has the state %q, want waiting", last.State)
	}
	var refused *api.Error
	if !errors.As(invalid, &refused) || !cmp.Equal(refused.Problem.Errors, []string{`1:1: nic "tap8": want "tap7"`}) {
		t.Errorf("the fields at fault: %+v", refused)
	}
}

func TestClientFind(t *testing.T) {
	node := apitest.New(16)
	node.DeclareFile("tap8", "52:54:00:aa:00:08", "192.0.2.8/24", "198.51.100.8/32")
	node.DeclareFile("tap9", file9, "192.0.2.9/24")
	c := api.NewClient(start(t, node).socket)
	mac, err := nic.ParseMAC(file9)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		sel  api.Selector
		want []string
	}{
		{api.Selector{}, []string{"tap8", "tap9"}},
		{api.Selector{MAC: &mac}, []string{"tap9"}},
		{api.Selector{Address: netip.MustParseAddr("198.51.100.8")}, []string{"tap8"}},
		{api.Selector{MAC: &mac, Address: netip.MustParseAddr("198.51.100.8")}, nil},
	}
	for _, tt := range tests {
		nics, err := c.Find(t.Context(), tt.sel)
		var names []string
		for _, n := range nics {
			names = append(names, n.Name)
		}
		if err != nil || !cmp.Equal(tt.want, names) {
			t.Errorf("Find(%+v) = %v, %v; want %v", tt.sel, names, err, tt.want)
		}
	}
}

func TestClientUnreachable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	_, err := api.NewClient(path).Status(t.Context())
	want := "berthd cannot be reached at " + path + ": connect: no such file or directory"
	if !errors.Is(err, api.ErrUnreachable) || err.Error() != want {
		t.Errorf("no socket: %v, want %s", err, want)
	}
	l, err := net.Listen("unix", path) // and never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = api.NewClient(path).Status(ctx)
	want = "berthd cannot be reached at " + path + ": it does not answer: context deadline exceeded"
	if !errors.Is(err, api.ErrUnreachable) || err.Error() != want {
		t.Errorf("a hung agent: %v, want %s", err, want)
	}
}

// TestClientForeignServer: what is no problem document is no sentinel either.
func TestClientForeignServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: http.NotFoundHandler()}
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(l) }()
	_, err = api.NewClient(path).NIC(t.Context(), "tap7")
	if err == nil || errors.Is(err, api.ErrNotFound) || err.Error() != "GET /v1/nics/tap7: berthd answered 404 Not Found" {
		t.Errorf("got %v", err)
	}
	h.Close()
	<-ended
}
