package controller

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/berth-net/berth/internal/nodelink"
	"github.com/berth-net/berth/internal/rest/client"
	"github.com/berth-net/berth/internal/rest/wire"
	"github.com/berth-net/berth/internal/source"
)

// silence is how long a controller may say nothing before it counts as gone.
const silence = 3 * wire.KeepAlive

// Reasons for which a stream is left.
var (
	errChanged = errors.New("the node's credentials have changed")
	errSilent  = errors.New("it has fallen silent")
	errClosed  = errors.New("it has closed the stream")
)

// visit is one connection to one controller.
type visit struct {
	creds   *credentials
	url     string
	publish func(source.Update)
}

// link is a connection that is open, for the reports.
type link struct {
	client *client.Client
	node   string
}

// attend follows one controller until that ends; heard reports whether any of
// its messages was obeyed.
func (s *Source) attend(ctx context.Context, v visit) (heard bool, err error) {
	at := s.serve(v.creds)
	c, err := client.New(client.Options{URL: v.url, CA: v.creds.ca, Certificate: &v.creds.pair})
	if err != nil {
		return false, err
	}
	defer c.Close()
	g, ctx := errgroup.WithContext(ctx)
	alive := make(chan struct{}, 1)
	g.Go(func() error { return watch(ctx, alive) })
	g.Go(func() error { return s.guard(ctx, c, v.creds) })
	g.Go(func() error {
		body, err := c.Stream(ctx, v.creds.node, at.Generation, at.Digest)
		if err != nil {
			return err
		}
		defer body.Close()
		s.connect(&link{client: c, node: v.creds.node})
		defer s.connect(nil)
		s.tell(v.publish, "follows "+v.url)
		return each(lively{body, alive}, func(line []byte) error {
			ok, err := s.hear(line, v)
			heard = heard || ok
			return err
		})
	})
	return heard, g.Wait()
}

// hear obeys one line; an empty one is a sign of life.
func (s *Source) hear(line []byte, v visit) (obeyed bool, err error) {
	if len(line) == 0 {
		return false, nil
	}
	msg, err := nodelink.Decode[nodelink.Message](line)
	if err == nil {
		err = s.obey(msg, v.publish)
	}
	return err == nil, err
}

// lively tells of every read that brought something.
type lively struct {
	io.Reader
	alive chan<- struct{}
}

// Read implements io.Reader.
func (l lively) Read(b []byte) (int, error) {
	n, err := l.Reader.Read(b)
	select {
	case l.alive <- struct{}{}:
	default:
	}
	return n, err
}

// watch ends the visit to a controller that shows no sign of life.
func watch(ctx context.Context, alive <-chan struct{}) error {
	t := time.NewTimer(silence)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			return errSilent
		case <-alive:
			t.Reset(silence)
		}
	}
}

// guard looks after the credentials: it ends the visit when there are others,
// and has the certificate renewed in time.
func (s *Source) guard(ctx context.Context, c *client.Client, creds *credentials) error {
	var next time.Time // to try a renewal
	for {
		wait(ctx, poll)
		if ctx.Err() != nil {
			return nil
		}
		if now, err := readCredentials(s.dir); err == nil && now.made != creds.made {
			return errChanged
		}
		if now := time.Now(); now.After(creds.renewal()) && now.After(next) {
			next = now.Add(time.Hour)
			err := renew(ctx, s.dir, c, creds)
			s.mu.Lock()
			s.expires = err
			s.mu.Unlock()
		}
	}
}

// connect makes it known whom the reports go to; nil for nobody.
func (s *Source) connect(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	close(s.linked)
	s.linked = make(chan struct{})
}

// each calls f for every line, without its end.
func each(r io.Reader, f func(line []byte) error) error {
	in := bufio.NewReaderSize(r, 1<<16)
	for {
		line, err := readLine(in)
		if err == nil {
			err = f(line)
		}
		if err != nil {
			return err
		}
	}
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case errors.Is(err, io.EOF):
			return nil, errClosed
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > nodelink.MaxMessage:
			return nil, fmt.Errorf("a message of more than %d octets", nodelink.MaxMessage)
		}
	}
}

// backoff grows from round to round of the controllers.
type backoff struct{ tries int }

// The bounds of it. A whole site's nodes come back together: half of each pause
// is chance.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 15 * time.Second
)

func (b *backoff) next(controllers int) time.Duration {
	round := b.tries / controllers
	b.tries++
	pause := min(firstPause<<min(round, 10), lastPause)
	return pause/2 + rand.N(pause/2)
}
