"""How do results read? One function a result, text out; nothing here decides anything."""
