"""Faults of the sandbox: how they are written, and what they do to requests."""
