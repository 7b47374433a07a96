#!/bin/sh
# What dhclient, udhcpc and dhcpcd call for IPv4. Sets what the client was given, as
# their own scripts do, and writes it down beside this file. dhclient and
# dhcpcd name their values new_*, udhcpc does not.
record=${0%.sh}.lease
case ${reason:-$1} in
bound | renew | BOUND | RENEW | REBIND | REBOOT) ;;
deconfig | EXPIRE | NAK)
	ip -4 address flush dev eth0
	rm -f "$record"
	exit 0
	;;
*) exit 0 ;;
esac

address=${ip:-$new_ip_address}
router=${router:-$new_routers}
mtu=${mtu:-$new_interface_mtu}
if [ -z "$new_subnet_cidr" ]; then # dhcpcd has set everything itself
	ip -4 address flush dev eth0
	[ -z "$mtu" ] || ip link set eth0 mtu "$mtu"
	ip address add "$address/${mask:-$new_subnet_mask}" dev eth0
	ip route replace default via "$router"
fi
cat >"$record.new" <<END
address=$address
dns=${dns:-$new_domain_name_servers}
hostname=${hostname:-$new_host_name}
lease=${lease:-$new_dhcp_lease_time}
server=${serverid:-$new_dhcp_server_identifier}
END
mv "$record.new" "$record"
