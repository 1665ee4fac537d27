"""What is this model? Readers of local files, and the facts that they find."""
