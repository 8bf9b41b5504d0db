"""Freezer and this package side by side, on the same real cloud and its real disks.

``python -m tests.interop.rival`` measures, and writes the tables of the documents.
"""
