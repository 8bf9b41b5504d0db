"""The documents, by what stands under their headings; and sessions, replayed."""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.cli import _sandbox, make_parser

from ..novashell import DEPRECATION
from . import preloaded

ROOT = Path(__file__).parents[2]
SANDBOX = re.compile(r"scheduled-images-sandbox exec (.*) -- bash")


@dataclass(frozen=True)
class Document:
    """A document; with ``rewrite`` it takes over what is printed now."""

    path: Path
    rewrite: bool = False

    @property
    def text(self) -> str:
        """The whole document."""
        return self.path.read_text()

    def block(self, heading: str, number: int = 0) -> str:
        """Return an indented block of code below a line that begins so."""
        _, found, below = f"\n{self.text}".partition(f"\n{heading}")
        assert found, heading
        blocks = re.findall(r"::(?: \w+)?\n\n((?:    .*\n|\n)+)", below)
        return textwrap.dedent(blocks[number]).strip("\n") + "\n"

    def shows(
        self, block: str, printed: str, same: Callable[[str], object] = str
    ) -> None:
        """Fail unless a block is what is printed, or let it be that from now on.

        :param same: leaves out what is printed differently each time.
        """
        if not self.rewrite:
            assert same(printed) == same(block)
        elif same(printed) != same(block):
            old, new = (textwrap.indent(text, "    ") for text in (block, printed))
            self.path.write_text(self.text.replace(old, new))

    def replay(
        self,
        heading: str,
        cloud: Sandbox,
        folder: Path,
        blocks: int = 1,
        same: Callable[[str], object] = str,
    ) -> None:
        """Fail unless the sessions below a heading print what they show."""
        for number in range(blocks):
            session = self.block(heading, number)
            self.shows(session, replay(session, cloud, folder), same)

    @contextmanager
    def sandbox(self, folder: Path) -> Iterator[Sandbox]:
        """Make the sandbox that the page tells its readers to make.

        Commands after it in the same paragraph are run too: "then run ``...``".
        """
        line = SANDBOX.search(self.text)
        assert line
        args = make_parser().parse_args(["exec", *shlex.split(line[1])])
        paragraph = self.text[line.end() :].partition("\n\n")[0].replace("\n", " ")
        commands = re.findall(r"``((?:nova|scheduled-images-sandbox) .+?)``", paragraph)
        with _sandbox(args, "127.0.0.1", 0) as cloud:
            replay("".join(f"$ {each}\n" for each in commands), cloud, folder)
            yield cloud

    def replay_all(self, folder: Path) -> None:
        """Fail unless the sessions of the page print what they show.

        They begin with the first one after the line that makes their sandbox.
        """
        _, _, below, *_ = SANDBOX.split(self.text, maxsplit=1)
        sessions = re.findall(r":: console\n\n((?:    .*\n|\n)+)", below)
        assert sessions
        with self.sandbox(folder) as cloud:
            for each in sessions:
                session = textwrap.dedent(each).strip("\n") + "\n"
                self.shows(session, replay(session, cloud, folder))


def replay(session: str, cloud: Sandbox, folder: Path) -> str:
    """Run the commands of a session, and return it with what they print now.

    Commands are the lines that begin with ``$``; one may go on behind a backslash. Of
    each its standard output stands before its errors.
    """
    environment = cloud.environ()
    environment["PATH"] = f"{preloaded.folder()}:{environment['PATH']}"
    written, status = [], 0
    for command in re.findall(r"^\$ (.*(?:\\\n.*)*)$", session, re.MULTILINE):
        written.append(f"$ {command}\n")
        if command == "echo $?":
            written.append(f"{status}\n")
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        status = done.returncode
        written.append(done.stdout + DEPRECATION.sub("", done.stderr))
    return "".join(written)
