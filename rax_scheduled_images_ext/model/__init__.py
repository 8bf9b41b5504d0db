"""Rules and data of scheduled images: no requests, no clock, only standard library."""
