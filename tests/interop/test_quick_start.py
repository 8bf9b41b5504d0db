"""README's quick start for any cloud, on the real one, which must be up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .. import rehearsed
from ..functional.documents import ROOT, Document
from ..scenarios.resources import Workshop
from .cloud.install import find_python
from .cloud.layout import DEFAULT_STATE, Layout
from .terminal import NEEDS_OPENSTACK, PERMISSIONS, Terminal, commands, table

REQUIREMENT = "'rax-scheduled-images-ext[service]'"


@NEEDS_OPENSTACK
def test_the_quick_start_makes_an_image(tmp_path: Path) -> None:
    session = Document(ROOT / "README.rst").block("On any other cloud")
    install, enable, create, tick = commands(session)
    venv = tmp_path / "venv"
    # That of the tests may lack what makes virtual environments.
    python = find_python()
    assert python is not None
    subprocess.run([python, "-m", "venv", venv], check=True)
    env = Layout(DEFAULT_STATE).environ("demo")
    resources = Workshop(env)
    name, server_id = resources.boot()
    path = f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"
    terminal = Terminal(tmp_path, env, {"PATH": path})
    try:
        assert REQUIREMENT in install
        # Not the release that an index may have, but what is being tested.
        terminal.run(install.replace(REQUIREMENT, f"'{ROOT}[service]'"))
        assert (venv / "bin" / tick.split()[1]).exists()
        terminal.run(enable.replace("myserver", name))
        made = table(terminal.run(create))
        example = PERMISSIONS.block("For one project", 1)
        terminal.configure(example, env, made["ID"], made["Secret"])
        # Nothing is due so soon; a day later it is.
        assert terminal.run(tick) == ""
        at = terminal.plan("scheduled-images", server_id)["next_due"]
        where, program, command = tick.split()
        assert (program, command) == ("scheduled-images-service", "tick")
        installed = venv / "bin" / "python"
        terminal.run(f"{where} {installed} {rehearsed.__file__} --at {at} tick")
        (image,) = resources.images_of(server_id)
        assert image["scheduled_images_slot"] == at[:10]
        assert image["name"].startswith(f"Daily-{name}-")
    finally:
        terminal.try_to("openstack application credential delete scheduled-images")
        for image in resources.images_of(server_id):
            resources.delete_image(image["id"])
        resources.clear()
