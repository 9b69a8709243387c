"""vmdk2kvm: move a VMware machine to KVM so that it boots the first time, and prove it."""

__version__ = "0.1.0"
