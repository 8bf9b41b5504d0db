"""Requests to the services of a cloud, over any keystoneauth adapter."""
