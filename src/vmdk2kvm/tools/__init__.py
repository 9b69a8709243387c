"""Programs this product stands on: one runner, then one function per external subcommand."""
