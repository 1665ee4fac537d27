"""What does the plane know, and where does it lie? Records, content, lines, folders."""
