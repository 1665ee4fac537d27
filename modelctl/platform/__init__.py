"""What is the only door to Modal? This room; nothing else of ours imports the SDK."""
