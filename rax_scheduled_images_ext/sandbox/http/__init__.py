"""The sandbox's HTTP server, and what its APIs share."""
