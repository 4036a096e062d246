"""I/O with the API server: client, caches, queue, apply, status, events, lease."""
