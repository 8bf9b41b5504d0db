"""Rules and data of scheduled images: no requests, no clock, standard library only."""
