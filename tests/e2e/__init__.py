"""Whole migrations of real guests, booted."""
