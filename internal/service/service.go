// Package service is what our daemons have in common as services of a host: the
// forms of values in their configuration, their log, and what they tell systemd.
//
// Not here: which keys a daemon has, and what it does.
package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"

	"github.com/goccy/go-yaml"
)

// FileMode is written in octal.
type FileMode uint32

// UnmarshalText reads an octal mode.
func (m *FileMode) UnmarshalText(b []byte) error {
	n, err := strconv.ParseUint(string(b), 8, 9)
	if err != nil {
		return fmt.Errorf("%q is not a file mode: want octal such as \"0660\"", b)
	}
	*m = FileMode(n)
	return nil
}

// Logging is how loud the log is and what it looks like.
type Logging struct {
	Level  slog.Level `yaml:"level"`
	Format string     `yaml:"format"` // "text", "json"
}

// New returns the log.
func (l Logging) New(w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: l.Level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// Decode reads a configuration over what is in c already, strictly: mistakes
// are told with file, line and column. An empty one changes nothing.
func Decode(file string, data []byte, c any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	err := yaml.UnmarshalWithOptions(data, c, yaml.Strict())
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %s", file, yaml.FormatError(err, false, true))
	}
	return nil
}

// Notify tells systemd how the service is doing (sd_notify(3)); without
// systemd it does nothing.
func Notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	_, _ = c.Write([]byte(state)) // nobody to tell if systemd is gone
	_ = c.Close()
}
