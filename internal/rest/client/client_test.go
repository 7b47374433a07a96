package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/berth-net/berth/internal/fleet"
	"github.com/berth-net/berth/internal/rest/client"
)

// The command line has the client in it, and should not have a controller.
func TestClientIsLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, heavy := range []string{"go.etcd.io/", "cel.dev/", "google.golang.org/grpc", "internal/control", "internal/identity"} {
		if strings.Contains(string(out), heavy) {
			t.Errorf("the client brings %s along", heavy)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []client.Options{
		{URL: "http://controller:7443"},
		{URL: "controller"},
		{URL: "https://"},
		{URL: ""},
		{URL: "https://controller", CA: []byte("no PEM")},
	} {
		if _, err := client.New(o); err == nil {
			t.Errorf("%+v makes a client", o)
		}
	}
}

func TestUnreachable(t *testing.T) {
	c, err := client.New(client.Options{URL: "unix:" + t.TempDir() + "/none.sock"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Whoami(t.Context()); !errors.Is(err, client.ErrUnreachable) || !strings.Contains(err.Error(), "none.sock") {
		t.Errorf("error %v, want one that names the socket", err)
	}
	if _, err := c.Get(t.Context(), fleet.KindNIC, ".."); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a name that is a path: %v", err)
	}
}

// What is not a controller's answer is told with its status.
func TestAnotherServer(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }))
	defer s.Close()
	if _, err := must(t, client.Options{URL: s.URL}).Whoami(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("a server that nobody vouches for: %v", err)
	}
}

func must(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
