"""The modules that novaclient loads as extensions."""
