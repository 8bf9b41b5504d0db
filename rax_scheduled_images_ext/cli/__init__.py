"""Command line front ends."""
