"""What runs? From an app that was published to processes that answer at a URL."""
