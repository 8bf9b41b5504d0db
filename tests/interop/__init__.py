"""The same scenarios against services that nobody here wrote."""
