"""A panel for Horizon, OpenStack's dashboard; ``enabled`` has the file that adds it."""
