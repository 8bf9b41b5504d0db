"""The schedules of a cloud's servers, and where the cloud stores them."""
