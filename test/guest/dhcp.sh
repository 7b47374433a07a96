#!/bin/sh
# What udhcpc calls in the guest: sets the address and prints what was given.
B=/bin/busybox
case $1 in bound | renew) ;; *) exit 0 ;; esac
if [ "$1" = bound ]; then
	$B ip address add "$ip/$mask" dev "$interface"
	$B ip link set "$interface" mtu "$mtu"
	$B ip route add default via "$router"
fi
echo "LEASE $1 ip=$ip/$mask router=$router dns=$dns hostname=$hostname mtu=$mtu lease=$lease serverid=$serverid"
[ "$1" = bound ] || : >/renewed
