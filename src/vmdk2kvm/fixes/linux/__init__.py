"""Repairs of Linux guests."""
