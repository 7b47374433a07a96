#!/bin/sh
# What udhcpc calls: sets the address and prints what was given.
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
echo "LEASE ip=$ip/$mask router=$router dns=$dns lease=$lease serverid=$serverid"
