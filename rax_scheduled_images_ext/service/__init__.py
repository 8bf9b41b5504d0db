"""``scheduled-images-service``: the program that lets the engine run."""
