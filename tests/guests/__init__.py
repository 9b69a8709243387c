"""Real guests for the tests: Debian 12 machines shaped as VMware leaves them."""
