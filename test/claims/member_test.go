package claims_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/berth-net/berth/internal/etcd"
)

const members = 3

func clientURL(i int) string { return fmt.Sprintf("http://127.0.0.1:%d", 2379+10*i) }
func peerURL(i int) string   { return fmt.Sprintf("http://127.0.0.1:%d", 2380+10*i) }

func endpoints() []string {
	var out []string
	for i := range members {
		out = append(out, clientURL(i))
	}
	return out
}

// member is the process of one etcd: its number and directory.
func member(args []string) error {
	number, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	c := embed.NewConfig()
	c.Name, c.Dir = "m"+args[0], args[1]
	c.ListenClientUrls, c.ListenPeerUrls = parsed(clientURL(number)), parsed(peerURL(number))
	c.AdvertiseClientUrls, c.AdvertisePeerUrls = c.ListenClientUrls, c.ListenPeerUrls
	var all []string
	for i := range members {
		all = append(all, fmt.Sprintf("m%d=%s", i, peerURL(i)))
	}
	c.InitialCluster = strings.Join(all, ",")
	c.MaxTxnOps = 20000
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	e, err := embed.StartEtcd(c)
	if err != nil {
		return err
	}
	return <-e.Err()
}

func parsed(s string) []url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return []url.URL{*u}
}

// cluster starts the members, and returns the tests' own way into it.
func cluster(t testing.TB) ([]*process, *etcd.Store) {
	t.Helper()
	dir := t.TempDir()
	var all []*process
	for i := range members {
		home := filepath.Join(dir, strconv.Itoa(i))
		if err := os.Mkdir(home, 0o700); err != nil {
			t.Fatal(err)
		}
		all = append(all, newProcess(t, fmt.Sprintf("member %d", i), ourselves("member", strconv.Itoa(i), home)))
	}
	s, err := etcd.Open(context.Background(), etcd.Options{
		Endpoints: endpoints(), Timeout: time.Minute,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return all, s
}
