"""Pure text or bytes to model and back. Each module names its specification; none does I/O."""
