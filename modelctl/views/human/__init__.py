"""How do results read on a terminal? After ruff and rustc, terraform and kubectl."""
