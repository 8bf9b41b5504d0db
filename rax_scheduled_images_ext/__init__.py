"""Scheduled server images for the ``nova`` command line."""
