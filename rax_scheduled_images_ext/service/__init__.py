"""``scheduled-images-service``: the program that runs the engine."""
