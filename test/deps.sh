#!/usr/bin/env bash
# Installs with apt what `make demo` and `make test` need besides Go, git and
# make, and fetches the kernel that test/guest and test/kernel boot. Does nothing
# where all of it is there, so it may run as often as it likes.
# usage: test/deps.sh        as root, or as a user that sudo knows
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${BERTH_CACHE:-$PWD/.cache}/guest

packages=(
	# what the tests look with
	iproute2 nftables tcpdump curl iputils-ping iputils-arping procps
	# DHCP clients, and the server of the site
	isc-dhcp-client udhcpc dhcpcd-base systemd wide-dhcpv6-client ndisc6 dnsmasq-base
	# servers that are imported from
	isc-dhcp-server kea-dhcp4-server kea-dhcp6-server
	# a fail-over pair
	keepalived
	# the controller of a statichcpd database
	sqlite3
	# the guest
	busybox-static qemu-system-x86
	# the kernel program and the race detector
	clang-14 llvm-14 libbpf-dev gcc libc6-dev
)

as_root() {
	if ((EUID == 0)); then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		echo "deps: need root for: $*" >&2
		exit 1
	fi
}

missing() {
	local p
	for p in "${packages[@]}"; do
		dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^.i' || echo "$p"
	done
}

# What a package would start on the machine itself, now and at every boot.
services_of() {
	case $1 in
	isc-dhcp-server) echo isc-dhcp-server.service isc-dhcp-server6.service ;;
	kea-dhcp?-server) echo "$1.service" ;;
	esac
}

# The tests start servers themselves. A package that is there already is
# somebody's own, and its services stay as they are.
keep_off() {
	local p units=()
	command -v systemctl >/dev/null || return 0
	for p in "$@"; do
		# shellcheck disable=SC2207 # names of units have no blanks
		units+=($(services_of "$p"))
	done
	((${#units[@]} == 0)) || as_root systemctl --quiet mask "${units[@]}"
}

# apt's lists may be older than what the mirror holds: read them anew once.
update() {
	[[ -n ${updated:-} ]] || as_root apt-get update -qq
	updated=yes
}

install_packages() {
	local want
	mapfile -t want < <(missing)
	((${#want[@]})) || return 0
	echo "deps: installing ${want[*]}"
	update
	# Its package would start dhcp6c on the machine's own eth0, from now on.
	as_root debconf-set-selections <<<'wide-dhcpv6-client wide-dhcpv6-client/interfaces string'
	keep_off "${want[@]}"
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null
}

# The kernel is unpacked, not installed: no boot loader, nothing in /boot.
fetch_kernel() {
	compgen -G "$cache/root/boot/vmlinuz-*" >/dev/null && return
	local kernel
	kernel=$(kernel_package)
	if [[ -z $kernel ]]; then
		update
		kernel=$(kernel_package)
	fi
	echo "deps: fetching $kernel for the test guest into $cache"
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/new-XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	download "$tmp" "$kernel" || { update && download "$tmp" "$kernel"; }
	dpkg-deb -x "$tmp"/*.deb "$tmp/root"
	rm -rf "$cache/root"
	mv "$tmp/root" "$cache/root" # last, so that an interrupted run leaves none
}

# As who runs this: apt's own user may not write there.
download() {
	(cd "$1" && apt-get download -qq -o APT::Sandbox::User=root "$2")
}

kernel_package() {
	apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ {print $2; exit}'
}

install_packages
fetch_kernel
