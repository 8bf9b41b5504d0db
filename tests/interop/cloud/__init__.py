"""A real OpenStack on loopback: Keystone, Glance, Placement and Nova, from packages.

The hypervisor is fake and the network service is a stub, unless ``--hypervisor`` and
``--network`` ask for real ones. Run it as ``python -m tests.interop.cloud up`` from the
top of the checkout.
"""
