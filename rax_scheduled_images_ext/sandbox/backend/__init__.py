"""The sandbox's cloud itself, without HTTP: regions, servers, images, time."""
