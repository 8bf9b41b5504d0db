"""The parsers of this project's commands, as the shells make them."""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points

from novaclient import api_versions, shell

PACKAGE = "rax_scheduled_images_ext."


def nova() -> argparse.ArgumentParser:
    """Return a ``nova`` that has the subcommands of this package, and no others."""
    parser = argparse.ArgumentParser(prog="nova")
    subparsers = parser.add_subparsers()
    nova_shell = shell.OpenStackComputeShell()
    nova_shell.subcommands = {}
    version = api_versions.APIVersion("2.1")
    for extension in entry_points(group="novaclient.extension"):
        if extension.value.startswith(PACKAGE):
            nova_shell._find_actions(subparsers, extension.load(), version, False)
    return parser


def openstack() -> argparse.ArgumentParser:
    """Return an ``openstack`` that has the commands of this package, and no others.

    The options that all its commands have are left out.
    """
    parser = argparse.ArgumentParser(prog="openstack")
    subparsers = parser.add_subparsers()
    for each in entry_points(group="openstack.compute.v2"):
        if each.value.startswith(PACKAGE):
            command = each.load()(None, None)
            name = each.name.replace("_", " ")
            text = f"{command.get_description()} {command.statuses}"
            made = subparsers.add_parser(name, description=text)
            for argument in command.arguments:
                argument.add_to(made)
    return parser
