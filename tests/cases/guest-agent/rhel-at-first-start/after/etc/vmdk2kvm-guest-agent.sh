#!/bin/sh
# The machine came from VMware. Installs the QEMU guest agent once there is a network, and removes itself;
# after half an hour it gives up until the next start.
export DEBIAN_FRONTEND=noninteractive
tries=0
until dnf install -y qemu-guest-agent; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || exit 1
    sleep 30
done
systemctl start qemu-guest-agent.service
rm -f /etc/systemd/system/multi-user.target.wants/vmdk2kvm-guest-agent.service /etc/systemd/system/vmdk2kvm-guest-agent.service /etc/vmdk2kvm-guest-agent.sh
systemctl daemon-reload
