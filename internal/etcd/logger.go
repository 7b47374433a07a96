package etcd

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// bridge is a zapcore.Core: it hands etcd's log lines to slog, one level lower.
// What fails for what etcd complains of says so itself; and etcd complains of
// every start and stop too.
type bridge struct {
	handler slog.Handler
	running *atomic.Bool // unless true, nothing matters; the caller is told by an error
}

func (b *bridge) level(l zapcore.Level) slog.Level {
	switch {
	case l < zapcore.WarnLevel || !b.running.Load():
		return slog.LevelDebug
	case l == zapcore.WarnLevel:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

// Enabled is one of zapcore.Core's methods, as are those that follow.
func (b *bridge) Enabled(l zapcore.Level) bool {
	return l >= zapcore.InfoLevel && b.handler.Enabled(context.Background(), b.level(l))
}

// With adds fields to all lines.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{handler: b.handler.WithAttrs(attrs(fields)), running: b.running}
}

// Check adds the bridge to those who write the line.
func (b *bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return ce.AddCore(e, b)
	}
	return ce
}

// Write hands on one line.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, b.level(e.Level), "etcd: "+e.Message, 0)
	r.AddAttrs(attrs(fields)...)
	return b.handler.Handle(context.Background(), r)
}

// Sync has nothing to do.
func (b *bridge) Sync() error { return nil }

func attrs(fields []zapcore.Field) []slog.Attr {
	m := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(m)
	}
	out := make([]slog.Attr, 0, len(m.Fields))
	for _, k := range slices.Sorted(maps.Keys(m.Fields)) {
		out = append(out, slog.Any(k, m.Fields[k]))
	}
	return out
}
