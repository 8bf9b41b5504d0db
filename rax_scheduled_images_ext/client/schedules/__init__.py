"""The schedules of a cloud's servers, and how the cloud keeps them."""
