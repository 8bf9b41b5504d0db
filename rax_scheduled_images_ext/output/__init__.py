"""Columns and formats: what front ends print."""
