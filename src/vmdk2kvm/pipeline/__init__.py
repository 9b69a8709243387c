"""The order of things: six calls, their records, their report."""
