"""A table of requests whose answers must be alike on every OpenStack cloud.

The clouds themselves differ, so only what a client can stumble over is compared:
status, header names, the shape of the body, the text of an error, and the values that
a case names. ``python -m tests.interop.contract`` prints the answers of the cloud that
the usual OS_* variables name.
"""
