"""Rehearsed days on the real cloud, which must be up.

First one runner works undisturbed, then on the same servers and days several that are
killed at random. ``python -m tests.interop.rehearsal`` reports what they leave.
"""
