"""A Hub on the loopback, and small models to put on it."""
