#!/bin/sh
# The witness of a boot: says that it lives until the default target is reached or the guest has
# fallen into emergency mode, then reports what it sees. It judges nothing; the host does.
# It speaks over the virtio-serial port PORT_NAME and, for its report, over the serial console:
#   heartbeat UPTIME STATES      states of default.target, emergency.target, rescue.target
#   begin / NAME BASE64 … / end NUMBER_OF_FACTS
PORT_NAME=org.vmdk2kvm.witness
PATH=/usr/sbin:/usr/bin:/sbin:/bin
LC_ALL=C
export PATH LC_ALL

find_port() {
	for entry in /sys/class/virtio-ports/*/name; do
		[ -r "$entry" ] || continue
		read -r name <"$entry"
		[ "$name" = "$PORT_NAME" ] || continue
		entry=${entry%/name}
		echo "/dev/${entry##*/}"
		return
	done
}

open_port() {
	[ -z "$port" ] || return 0
	port=$(find_port)
	# A failed exec would end the shell, so try in a subshell first.
	[ -n "$port" ] && (exec 3>"$port") 2>/dev/null && exec 3>"$port" && return 0
	port=
	return 1
}

states() {
	systemctl is-active default.target emergency.target rescue.target 2>/dev/null | tr '\n' ' '
}

uptime_s() {
	read -r up _ </proc/uptime
	echo "${up%%.*}"
}

fact() {
	printf '%s ' "$1"
	base64 | tr -d '\n'
	echo
}

# name, major:minor, its disk or itself, devices it stands on, drivers of a disk from it upwards
block_devices() {
	for entry in /sys/class/block/*; do
		case ${entry##*/} in loop* | ram* | sr* | fd*) continue ;; esac
		[ -r "$entry/dev" ] || continue
		read -r numbers <"$entry/dev"
		path=$(readlink -f "$entry")
		disk=${path##*/}
		drivers=-
		if [ -e "$path/partition" ]; then
			disk=${path%/*}
			disk=${disk##*/}
		else
			drivers=$(drivers "$path")
		fi
		slaves=
		for slave in "$path"/slaves/*; do
			[ -e "$slave" ] && slaves=$slaves${slave##*/},
		done
		echo "${path##*/} $numbers $disk ${slaves:--} $drivers"
	done
}

drivers() {
	[ -e "$1/device" ] || { echo -; return; }
	at=$(readlink -f "$1/device")
	found=
	while [ -n "$at" ] && [ "$at" != /sys/devices ]; do
		if [ -e "$at/driver" ]; then
			driver=$(readlink -f "$at/driver")
			found=$found${driver##*/},
		fi
		at=${at%/*}
	done
	echo "${found:--}"
}

# For each line of fstab with an entry: its number, the device its first field means, and its mount
# point with links resolved; octal escapes become the characters they stand for.
fstab_resolved() {
	number=0
	while read -r spec where _ || [ -n "$spec" ]; do
		number=$((number + 1))
		case $spec in '' | \#*) continue ;; esac
		[ -n "$where" ] || continue
		spec=$(unescape "$spec" | tr -d '"')
		where=$(unescape "$where")
		device=$(findfs "$spec" 2>/dev/null || echo "$spec")
		device=$(readlink -f "$device" 2>/dev/null || echo "$device")
		where=$(readlink -f "$where" 2>/dev/null || echo "$where")
		printf '%s\t%s\t%s\n' "$number" "$device" "$where"
	done </etc/fstab
}

unescape() {
	printf '%b' "$(printf '%s' "$1" | sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g')"
}

root_device() {
	source=$(findmnt -nro SOURCE / 2>/dev/null)
	readlink -f "${source%%[[]*}"
}

interfaces() {
	for entry in /sys/class/net/*; do
		[ -r "$entry/address" ] || continue
		name=${entry##*/}
		[ "$name" = lo ] && continue
		read -r mac <"$entry/address"
		driver=$(readlink -f "$entry/device/driver" 2>/dev/null)
		list=$(ip -o addr show dev "$name" 2>/dev/null | sed -n 's/.* inet6\{0,1\} \([^ ]*\).*/\1/p' | tr '\n' ',')
		echo "$name $mac ${driver##*/} ${list:--}"
	done
}

failed_units() {
	systemctl list-units --failed --plain --no-legend --no-pager 2>/dev/null | sed 's/^[^[:alnum:]]*//'
}

facts() {
	states | fact states
	uname -r | fact kernel
	fact os-release </etc/os-release
	fact cmdline </proc/cmdline
	fact mountinfo </proc/self/mountinfo
	fact swaps </proc/swaps
	{ cat /etc/fstab 2>/dev/null; } | fact fstab
	fstab_resolved 2>/dev/null | fact fstab-resolved
	root_device | fact root-device
	block_devices | fact block-devices
	failed_units | fact failed-units
	interfaces | fact interfaces
	uptime_s | fact uptime
}

modprobe virtio_console >/dev/null 2>&1
port=
while :; do
	now=$(states)
	open_port && echo "heartbeat $(uptime_s) $now" >&3
	set -- $now
	[ "$1" = active ] || [ "$2" = active ] || [ "$3" = active ] && break
	sleep 1
done

# Jobs that nothing waits for may still run; give them a moment, so that failed units are complete.
tries=0
while [ "$1" = active ] && [ "$tries" -lt 5 ] && [ "$(systemctl is-system-running 2>/dev/null)" = starting ]; do
	tries=$((tries + 1))
	open_port && echo "heartbeat $(uptime_s) $now" >&3
	sleep 1
done

report=$(facts)
report="begin
$report
end $(printf '%s\n' "$report" | wc -l | tr -d ' ')"
open_port && printf '%s\n' "$report" >&3
# The kernel may talk in between on the serial console, so say it more than once.
for _ in 1 2 3; do
	[ -c /dev/ttyS0 ] && printf '\n%s\n' "$report" >/dev/ttyS0
	sleep 2
done
while open_port; do
	echo "heartbeat $(uptime_s) $now" >&3
	sleep 5
done
