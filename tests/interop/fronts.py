"""What stands before the real cloud, which must be up, or beside its Nova."""

from __future__ import annotations

import configparser
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from textwrap import dedent
from typing import IO

import rax_scheduled_images_ext

from .cloud.api import answers
from .cloud.layout import FILES, KEYSTONE, NOVA, CloudError, Layout, url
from .cloud.processes import last_words, wait_until

PORT = 8784
_DOCUMENT = Path(__file__).parents[2] / "doc/source/service/api.rst"
_PIPELINE = "openstack_compute_api_v21"
#: Where the filtered Nova has the rights of Rackspace's roles.
_STRICT = "/strict"


@contextmanager
def filtered(layout: Layout) -> Iterator[str]:
    """Run another nova-api with the filter, as the documents say.

    :returns: its address; with ``/strict`` before the version it has the rights of
        Rackspace's roles.
    """
    folder = layout.var / "filtered"
    # What was linked before may be of another version.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _link_package(folder)
    paste = folder / "api-paste.ini"
    paste.write_text(_paste_config(layout.venv / "etc/nova/api-paste.ini"))
    environ = {"PYTHONPATH": str(folder)}
    with _nova_api(layout, "filtered", f"{paste};nova.conf", environ) as address:
        yield address


@contextmanager
def deferring(layout: Layout) -> Iterator[str]:
    """Run another nova-api, which deletes servers so that they can be restored.

    :returns: its address. They stay until somebody deletes them by force.
    """
    config = layout.var / "deferring.conf"
    config.write_text("[DEFAULT]\nreclaim_instance_interval = 86400\n")
    paste = layout.venv / "etc/nova/api-paste.ini"
    files = f"{paste};nova.conf;{config}"
    with _nova_api(layout, "deferring", files) as address:
        yield address


@contextmanager
def _nova_api(
    layout: Layout, name: str, files: str, environ: Mapping[str, str] = {}
) -> Iterator[str]:
    """Run another nova-api on a port of its own; its address comes back.

    :param files: its configuration.
    """
    environ = {
        "CLOUD_APPLICATION": "nova.wsgi.osapi_compute:application",
        "CLOUD_PORT": str(PORT),
        "CLOUD_THREADS": "8",
        "GUNICORN_CMD_ARGS": f"--config {FILES / 'gunicorn.py'}",
        "OS_NOVA_CONFIG_DIR": str(layout.etc / "nova"),
        "OS_NOVA_CONFIG_FILES": files,
        **environ,
    }
    address = url(PORT)
    log = layout.log(f"nova-api-{name}")
    with log.open("ab") as file, _process(layout, file, environ) as process:

        def ready() -> bool:
            if process.poll() is not None:
                raise CloudError(f"another nova-api died: {last_words(log)}")
            return answers(f"{address}/v2.1/")

        wait_until("another nova-api", ready, 90)
        yield address


@contextmanager
def _process(
    layout: Layout, log: IO[bytes], environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [layout.bin("gunicorn")],
        env={**os.environ, **environ},
        cwd=layout.var,
        stdout=log,
        stderr=log,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def proxied(*options: str) -> Iterator[str]:
    """Run the proxy before Nova; its address comes back."""
    program = Path(sys.executable).with_name("scheduled-images-service")
    process = subprocess.Popen(
        [program, "api", "--compute", url(NOVA, "/v2.1"), "--port", "0", *options],
        env={**os.environ, "OS_AUTH_URL": url(KEYSTONE, "/v3")},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        found = re.search(r" url=(\S+)/v2\.1\n", process.stderr.readline())
        assert found is not None
        yield found[1]
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=30)
    assert (process.returncode, rest.count("\n")) == (0, 1), rest


def _link_package(folder: Path) -> None:
    """Let the folder have this package as it is installed here, and nothing else."""
    metadata = distribution("rax-scheduled-images-ext").locate_file("")
    package = Path(str(rax_scheduled_images_ext.__file__)).parent
    (info,) = Path(str(metadata)).glob("rax_scheduled_images_ext-*.dist-info")
    for path in (package, info):
        (folder / path.name).symlink_to(path)


def _paste_config(path: Path) -> str:
    """Return Nova's configuration with the lines of the document, and beside it a
    pipeline with the rights of Rackspace's roles.
    """
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    parser.read_string(documented_lines())
    strict = dict(parser.items(f"composite:{_PIPELINE}"))
    strict["keystone"] = strict["keystone"].replace(
        "scheduled_images", "scheduled_images_strict"
    )
    parser.read_dict(
        {
            "composite:strict": strict,
            "composite:osapi_compute": {f"{_STRICT}/v2.1/+": "strict"},
            "filter:scheduled_images_strict": {
                **dict(parser.items("filter:scheduled_images")),
                "roles": "rackspace",
            },
        }
    )
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def documented_lines() -> str:
    """Return the lines for ``api-paste.ini`` that the document has."""
    blocks = re.findall(
        r"\.\. code-block:: ini\n\n((?: {4}.*\n|\n)+)", _DOCUMENT.read_text()
    )
    (lines,) = (dedent(block) for block in blocks if "[filter:" in block)
    return lines
