"""Ratios: this package compared with the client of 2013, bare requests, and nothing.

``python -m benchmarks`` runs them all. Each ratio comes from alternating runs on one
machine against one sandbox in its own process.
"""
