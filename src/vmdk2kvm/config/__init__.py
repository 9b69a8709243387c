"""One table for YAML keys, flags, documentation and JSON Schema."""
