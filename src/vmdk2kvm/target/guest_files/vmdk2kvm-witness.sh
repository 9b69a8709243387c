#!/bin/sh
# The witness of a boot: says that it lives until the default target is reached or the guest has
# fallen into emergency mode, then reports what it sees. It judges nothing; the host does.
# It speaks over the virtio-serial port PORT_NAME and, for its report, over the serial console:
#   heartbeat UPTIME STATES      states of default.target, emergency.target, rescue.target
#   begin / base64 of the report / end NUMBER_OF_BASE64_LINES
# Each line of the report is NAME:TEXT. An emulated guest starts programs slowly, so hardly any are:
# "cd -P" resolves links within the shell, and one grep reads all files.
PORT_NAME=org.vmdk2kvm.witness
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

open_port() {
	[ -z "$port" ] || return 0
	for entry in /sys/class/virtio-ports/*; do
		[ -r "$entry/name" ] || continue
		read -r name <"$entry/name"
		[ "$name" = "$PORT_NAME" ] || continue
		port=/dev/${entry##*/}
		# A failed exec would end the shell, so try in a subshell first.
		(exec 3>"$port") 2>/dev/null && exec 3>"$port" && return 0
	done
	port=
	return 1
}

heartbeat() {
	read -r up _ </proc/uptime
	open_port && echo "heartbeat ${up%%.*} $*" >&3
}

# real FOLDER: the folder without links, in $real; empty when there is none.
real() {
	real=
	cd -P "$1" 2>/dev/null && real=$PWD
	cd /
}

# name, major:minor, its disk or itself, devices it stands on, drivers of a disk from it upwards
block_devices() {
	for entry in /sys/class/block/*; do
		case ${entry##*/} in loop* | ram* | sr* | fd*) continue ;; esac
		[ -r "$entry/dev" ] || continue
		read -r numbers <"$entry/dev"
		real "$entry"
		path=$real
		drivers=
		if [ -e "$path/partition" ]; then
			disk=${path%/*}
			disk=${disk##*/}
		else
			disk=${path##*/}
			find_drivers "$path/device"
		fi
		slaves=
		for slave in "$path"/slaves/*; do
			[ -e "$slave" ] && slaves=$slaves${slave##*/},
		done
		echo "block-devices:${path##*/} $numbers $disk ${slaves:--} ${drivers:--}"
	done
}

find_drivers() {
	real "$1"
	at=$real
	while [ -n "$at" ] && [ "$at" != /sys/devices ]; do
		real "$at/driver"
		[ -n "$real" ] && drivers=$drivers${real##*/},
		at=${at%/*}
	done
}

# For each line of fstab with an entry: its number, the device it means (asked for swaps only), and
# its mount point with links resolved; octal escapes become the characters they stand for.
fstab_resolved() {
	number=0
	while read -r spec where type _ || [ -n "$spec" ]; do
		number=$((number + 1))
		case $spec in '' | \#*) continue ;; esac
		unescape "$spec"
		device=$plain
		if [ "$type" = swap ]; then
			device=$(findfs "$(echo "$device" | tr -d '"')" 2>/dev/null || echo "$device")
			device=$(readlink -f "$device" 2>/dev/null || echo "$device")
		fi
		unescape "$where"
		# The last part is not entered: behind an automount may lie a network that is not there.
		real "${plain%/*}/"
		[ -n "$real" ] && [ "$plain" != / ] && plain=${real%/}/${plain##*/}
		[ -L "$plain" ] && plain=$(readlink -f "$plain")
		printf 'fstab-resolved:%s\t%s\t%s\n' "$number" "$device" "$plain"
	done </etc/fstab
}

unescape() {
	plain=$1
	case $1 in *\\*) plain=$(printf '%b' "$(printf '%s' "$1" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')") ;; esac
}

interfaces() {
	for entry in /sys/class/net/*; do
		[ -r "$entry/address" ] || continue
		name=${entry##*/}
		[ "$name" = lo ] && continue
		read -r mac <"$entry/address"
		real "$entry/device/driver"
		real=${real:--}
		list=$(ip -o addr show dev "$name" 2>/dev/null | sed -n 's/.* inet6\{0,1\} \([^ ]*\).*/\1/p' | tr '\n' ',')
		echo "interfaces:$name $mac ${real##*/} ${list:--}"
	done
}

root_device() {
	source=$(findmnt -nro SOURCE / 2>/dev/null)
	source=$(readlink -f "${source%%[[]*}")
	echo "root-device:$source"
}

facts() {
	read -r up _ </proc/uptime
	echo "uptime:${up%%.*}"
	echo "states:$*"
	grep -aH '' /proc/sys/kernel/osrelease /etc/os-release /proc/cmdline /proc/self/mountinfo /proc/swaps
	[ -s /etc/fstab ] && grep -aH '' /etc/fstab && fstab_resolved
	root_device
	block_devices
	interfaces
	[ "$system" = running ] ||
		systemctl list-units --failed --plain --no-legend --no-pager 2>/dev/null |
		sed 's/^[^[:alnum:]]*/failed-units:/'
}

modprobe virtio_console >/dev/null 2>&1
port=
while :; do
	# shellcheck disable=SC2046
	set -- $(systemctl is-active default.target emergency.target rescue.target 2>/dev/null)
	heartbeat "$@"
	[ "$1" = active ] || [ "$2" = active ] || [ "$3" = active ] && break
	sleep 1
done

# Jobs that nothing waits for may still run; give them a moment, so that failed units are complete.
tries=0
system=
while [ "$1" = active ] && [ "$tries" -lt 3 ]; do
	system=$(systemctl is-system-running 2>/dev/null)
	[ "$system" = starting ] || break
	tries=$((tries + 1))
	heartbeat "$@"
	sleep 1
done

report=$(facts "$@" 2>/dev/null | base64)
report="begin
$report
end $(echo "$report" | wc -l | tr -d ' ')"
open_port && echo "$report" >&3
# The kernel may talk in between on the serial console, so say it more than once.
for _ in 1 2 3; do
	[ -c /dev/ttyS0 ] && printf '\n%s\n' "$report" >/dev/ttyS0
	sleep 2
done
while sleep 5; do
	heartbeat "$@"
done
