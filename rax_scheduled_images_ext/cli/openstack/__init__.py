"""The commands of ``openstack``, one module for each resource."""
