"""Does it fit, how fast is it, what does it cost? Arithmetic alone: neither specs nor engines."""
