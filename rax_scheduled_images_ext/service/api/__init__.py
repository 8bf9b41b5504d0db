"""The extension's API before any Nova: over server tags, as a filter or a proxy.

It needs nothing but what Nova itself runs on, besides this package.
"""
