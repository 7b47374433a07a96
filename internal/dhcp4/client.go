package dhcp4

import "github.com/berth-net/berth/internal/nic"

// ClientMAC returns chaddr, whose message it is, without looking at anything
// else; false if it is no client message of an Ethernet client.
func ClientMAC(message []byte) (nic.MAC, bool) {
	if len(message) < offCHAddr+hlenEthernet || message[0] != opRequest || message[1] != htypeEthernet || message[2] != hlenEthernet {
		return nic.MAC{}, false
	}
	return nic.MAC(message[offCHAddr : offCHAddr+hlenEthernet]), true
}
