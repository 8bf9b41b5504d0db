"""A cloud in the box, to try scheduled images on and to test scripts with."""
