#!/bin/sh
# The guest's whole life. It prints what it sees; the test reads the console.
# udhcpc asks by a raw socket and makes its own checksums; to renew it uses a
# UDP socket, and then the checksum is left to the virtio NIC.
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
$B mount -t devtmpfs dev /dev
for m in /modules/*.ko; do $B insmod "$m"; done
gateway=192.0.2.1
own=$($B cat /sys/class/net/eth0/address)
. /ip6.sh
begin6
$B ip link set lo up
$B ip link set eth0 up

try() { # NAME COMMAND...: prints whether it succeeded
	name=$1
	shift
	if "$@" >/dev/null 2>&1; then echo "TRY $name yes"; else echo "TRY $name no"; fi
}
reach() { try "$1" $B ping -c 1 -W 1 -I "$2" $gateway; }

$B udhcpc -f -i eth0 -s /dhcp.sh -t 10 -T 2 -O mtu -O hostname >/dev/console 2>/dev/null &
renew=$!
lease6 &
for i in 1 2 3 4 5 6 7 8 9 10; do
	$B ip route | $B grep -q default && break
	$B sleep 1
done
try gateway $B ping -c 3 -W 1 $gateway
$B kill -USR1 $renew
for i in 1 2 3 4 5 6 7 8 9 10; do
	[ -e /renewed ] && break
	$B sleep 1
done

$B ip address add 192.0.2.66/24 dev eth0 # the gateway's MAC is still known: an IPv4 packet
reach foreign-address 192.0.2.66
try foreign-arping $B arping -c 1 -w 1 -I eth0 -s 192.0.2.66 $gateway
$B ip address del 192.0.2.66/24 dev eth0

$B ip address add $gateway/32 dev eth0
$B arping -U -c 2 -w 2 -I eth0 -s $gateway $gateway >/dev/null 2>&1
$B ip address del $gateway/32 dev eth0

ip6_life

$B ip link set eth0 address 52:54:00:00:00:66
reach foreign-mac 192.0.2.10
$B ip link set eth0 address "$own"
reach honest-again 192.0.2.10
echo "END"
$B poweroff -f
