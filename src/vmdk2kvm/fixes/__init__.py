"""Repairs as pure planners, and the one interpreter that applies what they plan."""
