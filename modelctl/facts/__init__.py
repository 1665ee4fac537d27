"""What do we know of the world? Tables whose rows carry a source and a date, and their readers."""
