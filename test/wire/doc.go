// Package wire holds the tests of the guard on real wires: a bridge with a
// managed port, an unmanaged VM and an uplink, frames sent by the guest and by
// the site, and what arrives where.
//
// Not here: the verdicts' definition (guard) and its comparison with the kernel
// program frame by frame (datapath), which need no network.
package wire
