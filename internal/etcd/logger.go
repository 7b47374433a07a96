package etcd

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap/zapcore"
)

// bridge is a zapcore.Core: it hands etcd's log lines to slog. What etcd says
// in normal operation is for debugging; it warns and complains as it did.
type bridge struct {
	handler slog.Handler
	quieter bool // warnings are for debugging too
}

func (b *bridge) level(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelError
	case l == zapcore.WarnLevel && !b.quieter:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

// Enabled is one of zapcore.Core's methods, as are those that follow.
func (b *bridge) Enabled(l zapcore.Level) bool {
	return l >= zapcore.InfoLevel && b.handler.Enabled(context.Background(), b.level(l))
}

// With adds fields to all lines.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{handler: b.handler.WithAttrs(attrs(fields)), quieter: b.quieter}
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
