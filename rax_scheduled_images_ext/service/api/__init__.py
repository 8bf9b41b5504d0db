"""The extension's API in front of any Nova: on server tags, as a filter or a proxy.

Besides this package it needs only what Nova itself needs.
"""
