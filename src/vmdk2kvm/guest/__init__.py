"""A guest's files behind one protocol: offline (libguestfs), live (SSH), in memory (tests)."""
