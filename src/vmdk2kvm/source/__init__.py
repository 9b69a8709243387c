"""CONTROL plane: what machines exist and what they are made of."""
