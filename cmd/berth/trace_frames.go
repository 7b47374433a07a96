package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/berth-net/berth/internal/api"
	"github.com/berth-net/berth/internal/nic"
	"github.com/berth-net/berth/internal/pcap"
	"github.com/berth-net/berth/internal/words"
)

// readCapture takes the frames from a file. What is read of a damaged one is
// traced all the same.
func (a *app) readCapture(_ *cobra.Command, t *tracing, n api.NIC) error {
	if len(macsOf(n)) == 0 && !t.fromGuest && !t.toGuest {
		return usage("%s has no MAC to tell by whose the frames are: say --from-guest or --to-guest", t.nic)
	}
	content, name, err := a.readInput(t.pcap)
	if err != nil {
		return err
	}
	t.frames, err = pcap.Read(content)
	switch {
	case err != nil && len(t.frames) == 0:
		return &api.InvalidError{Detail: fmt.Sprintf("%s: %v", name, err)}
	case err != nil:
		t.unread = fmt.Errorf("%s: %w", name, err)
	case len(t.frames) == 0:
		return &api.InvalidError{Detail: name + ": there is no packet in it"}
	}
	return nil
}

// macsOf are the Ethernet sources that a NIC may have.
func macsOf(n api.NIC) []nic.MAC {
	all := orZero(n.Installed).MACs
	if n.MAC != nil {
		all = append(slices.Clone(all), *n.MAC)
	}
	return all
}

// askAll asks berthd about all frames that are whole, in as few requests as the
// API takes.
func (a *app) askAll(cmd *cobra.Command, t *tracing, n api.NIC) error {
	macs := macsOf(n)
	t.traced = make([]api.Traced, len(t.frames))
	var frames []api.Frame
	var places []int
	for i, p := range t.frames {
		f := api.Frame{Bytes: p.Data, ToGuest: t.isToGuest(p.Data, macs)}
		if p.Cut() {
			t.traced[i] = cut(p, f.ToGuest)
			continue
		}
		frames, places = append(frames, f), append(places, i)
	}
	for len(frames) > 0 {
		size := batch(frames)
		traced, err := a.client().Trace(cmd.Context(), t.nic, frames[:size])
		if err == nil && len(traced) != size {
			err = errors.New("berthd has not answered for every frame")
		}
		if err != nil {
			return err
		}
		for i, one := range traced {
			t.traced[places[i]] = one
		}
		frames, places = frames[size:], places[size:]
	}
	return nil
}

// isToGuest tells the direction by the Ethernet source, where nobody has said
// it; of words the guest is the speaker.
func (t *tracing) isToGuest(frame []byte, macs []nic.MAC) bool {
	if t.toGuest || t.fromGuest || t.pcap == "" || len(frame) < 12 {
		return t.toGuest
	}
	return !slices.Contains(macs, nic.MAC(frame[6:12]))
}

// cut is a packet of which the capture has not all.
func cut(p pcap.Packet, toGuest bool) api.Traced {
	told := words.Tell(p.Data)
	return api.Traced{
		ToGuest: toGuest, Frame: api.Told{Bytes: p.Data, Text: told.Text, Details: told.Details}, Fate: api.NotTraced,
		Why: fmt.Sprintf("the capture has %d of the frame's %d bytes", len(p.Data), p.Length),
	}
}

// batch is how many frames one request takes, at least one: a single frame that
// is too long is berthd's to refuse.
func batch(frames []api.Frame) int {
	const around = 64 // bytes of JSON for one frame, beside its own
	room := api.MaxBody - around
	for i, f := range frames[:min(len(frames), api.MaxFrames)] {
		if room -= base64.StdEncoding.EncodedLen(len(f.Bytes)) + around; room < 0 {
			return max(i, 1)
		}
	}
	return min(len(frames), api.MaxFrames)
}

// packets are the frames, each with the answer to it behind it.
func (t *tracing) packets() []pcap.Packet {
	var all []pcap.Packet
	for i, p := range t.frames {
		all = append(all, p)
		if r := t.traced[i].Reply; r != nil {
			all = append(all, pcap.Packet{Time: p.Time, Data: r.Bytes})
		}
	}
	return all
}
