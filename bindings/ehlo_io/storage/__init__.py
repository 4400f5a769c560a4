"""Messages on disk."""
