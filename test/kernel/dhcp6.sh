#!/bin/sh
# What dhclient -6 calls: sets the address and prints what was given.
[ "$reason" = BOUND6 ] || exit 0
ip -6 address add "$new_ip6_address/128" dev "$interface"
echo "LEASE6 ip=$new_ip6_address dns=$new_dhcp6_name_servers preferred=$new_preferred_life valid=$new_max_life"
