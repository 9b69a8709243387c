"""Where a result runs: QEMU boot tests and the guest's own proof of boot."""
