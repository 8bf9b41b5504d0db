"""The options of ``scheduled-images-sandbox`` and their values."""

from __future__ import annotations

from pathlib import Path

from rax_scheduled_images_ext.programs.arguments import (
    Parser,
    between,
    checked,
    moment,
)
from rax_scheduled_images_ext.programs.options import add_like
from rax_scheduled_images_ext.sandbox.faults.grammar import parse_fault

DEFAULT_PORT = 8740


def running_options() -> Parser:
    """Return the options of commands that talk to a running sandbox."""
    options = Parser(add_help=False)
    options.add_argument(
        "--url",
        help="the sandbox's address (default: $SANDBOX_URL, or this machine, port"
        f" {DEFAULT_PORT})",
    )
    return options


def cloud_options() -> Parser:
    """Return the options of commands that start a cloud."""
    options = Parser(add_help=False)
    add = options.add_argument
    add_like(options)
    add(
        "--regions",
        type=between(int, 1, 3),
        metavar="N",
        help="number of regions (default: 1, or 2 with --like rackspace)",
    )
    add(
        "--servers",
        type=between(int, 0, 1_000_000),
        default=0,
        metavar="N",
        help="number of further servers",
    )
    add(
        "--images-per-server",
        type=between(int, 0, 65535),
        default=0,
        metavar="M",
        help="number of daily images of each further server",
    )
    add("--state", type=Path, metavar="FILE", help="keep the cloud in this file")
    add(
        "--start",
        type=checked(moment),
        metavar="TIME",
        help="time of a new cloud, such as 2026-01-01T00:00:00Z (default: now)",
    )
    add(
        "--speed",
        type=between(float, 0, 1_000_000),
        default=1.0,
        metavar="X",
        help="virtual seconds per second (default: 1); with 0, only advance moves time,"
        " and commands that wait for the cloud do not end by themselves",
    )
    add(
        "--seed",
        type=between(int, 0, 2**63 - 1),
        default=1,
        metavar="N",
        help="makes other IDs and tokens; the same seed, the same cloud (default: 1)",
    )
    add(
        "--latency",
        type=between(float, 0, 60),
        default=0.0,
        metavar="SECONDS",
        help="minimum time that an answer takes",
    )
    add(
        "--max-limit",
        type=between(int, 1, 1_000_000),
        default=1000,
        metavar="N",
        help="maximum entries on a page (default: %(default)s)",
    )
    add(
        "--image-quota",
        type=between(int, 0, 1_000_000),
        metavar="N",
        help="maximum number of images of a project (default: no limit)",
    )
    add(
        "--shared-images",
        action="store_true",
        help="one image service for all regions (default: one in each)",
    )
    add(
        "--fault",
        type=checked(fault),
        action="append",
        default=[],
        dest="faults",
        metavar="SPEC",
        help="a fault, such as 'POST /action$ 503 x2' (may be repeated;"
        " see fault --help)",
    )
    add(
        "--without-extension",
        action="store_false",
        dest="extension",
        help="make no scheduled images, like a plain OpenStack",
    )
    add(
        "--hypervisor",
        choices=("xen", "libvirt"),
        default="xen",
        help="which task states a snapshot passes through: those that Rackspace"
        " documents (xen, the default), or those of Nova on libvirt; libvirt requires"
        " --without-extension",
    )
    add(
        "-v",
        "--verbose",
        action="store_true",
        help="print a line for each request on stderr",
    )
    return options


def fault(text: str) -> str:
    """Return the text of a fault as it is.

    :raises ValueError: if it is not a fault.
    """
    return parse_fault(text).text
