#!/bin/sh
# Takes the place of workspace-control's xen-ebtables-config.sh, to be run with sudo:
# see docs/nimbus.md. All is fixed here, so that a caller can choose neither
# the program nor which berthd is asked; its arguments are checked by berth.
set -efu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec /usr/bin/env -i PATH="$PATH" /usr/bin/berth nimbus ebtables-config "$@"
