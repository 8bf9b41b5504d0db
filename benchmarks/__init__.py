"""Ratios: this package beside the client of 2013, bare requests, and nothing.

``python -m benchmarks`` runs them all. Each ratio comes from runs that took turns
on one machine against one sandbox, which has a process of its own.
"""
