"""A real OpenStack on loopback: Keystone, Glance, Placement and Nova, from packages.

Only the hypervisor is fake and the network service is a stub. Run it as
``python -m tests.interop.cloud up`` from the top of the checkout.
"""
