package dhcp4

import (
	"encoding/binary"

	"github.com/berth-net/berth/internal/nic"
)

// fallbackLease stands in for a binding without any lease time, which no
// source can declare: a lease of 0 is never sent.
const fallbackLease nic.Seconds = 3600

// times are a lease and when it is renewed; 0 is not sent.
type times struct{ lease, t1, t2 nic.Seconds }

func (t times) lease32() []byte { return seconds(t.lease) }

// times decides how long this client has its address.
func (x *exchange) times() times {
	normal, most, t1, t2 := leases(&x.Binding.DHCP4)
	lease := normal
	if asked := nic.Seconds(x.m.uint32(optLease)); asked != 0 {
		lease = min(asked, most)
	}
	t1, t2 = scale(t1, lease, normal), scale(t2, lease, normal)
	return times{lease, t1, t2}.ordered()
}

// leases are the lease of a client that asks for none, that of one that asks for
// too much, and T1 and T2 of the first. Asking for more never gives less than
// not asking, and Infinite, the largest value, comes out only if it is
// configured.
func leases(d *nic.DHCP4) (normal, most, t1, t2 nic.Seconds) {
	normal = d.Lease
	if normal == 0 {
		normal = max(d.MaxLease, fallbackLease)
	}
	t1, t2 = renewals(d)
	return normal, max(normal, d.MaxLease), t1, t2
}

// renewals are T1 and T2 as configured, where options 58 and 59 of the
// binding's own win like any other.
func renewals(d *nic.DHCP4) (t1, t2 nic.Seconds) {
	t1, t2 = d.T1, d.T2
	for _, o := range d.Options {
		switch {
		case len(o.Data) != 4:
		case o.Code == optT1:
			t1 = nic.Seconds(binary.BigEndian.Uint32(o.Data))
		case o.Code == optT2:
			t2 = nic.Seconds(binary.BigEndian.Uint32(o.Data))
		}
	}
	return t1, t2
}

// scale shortens t as the lease is shorter than the normal one. No share of
// an infinite lease is known, so there t stays and only ordered judges it.
func scale(t, lease, normal nic.Seconds) nic.Seconds {
	if lease >= normal || normal == nic.Infinite {
		return t
	}
	return nic.Seconds(uint64(t) * uint64(lease) / uint64(normal))
}

// ordered leaves out what would break T1 < T2 < lease (RFC 2131 4.4.5): the
// client then uses half and seven eighths of the lease by itself.
func (t times) ordered() times {
	if t.t2 >= t.lease {
		t.t2 = 0
	}
	if t.t1 >= t.lease || t.t2 != 0 && t.t1 >= t.t2 {
		t.t1 = 0
	}
	return t
}

func seconds(s nic.Seconds) []byte { return binary.BigEndian.AppendUint32(nil, uint32(s)) }
