"""A real OpenStack on loopback, from packages.

Keystone, Glance, Placement, Cinder, Neutron and Nova. The hypervisor is fake, unless
``--hypervisor`` asks for a real one. Run it as ``python -m tests.interop.cloud up``
from the top of the checkout.
"""
