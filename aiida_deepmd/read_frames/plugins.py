"""Readers of further programs: any installed package may add one, by an entry point.

.. code-block:: toml

    [project.entry-points."aiida_deepmd.readers"]
    cp2k = "aiida_sis.core.cp2k.frames"

The name of the entry point is the name of the format. It points at a module, or any other object, that has what
:class:`Reader` asks for.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from aiida_deepmd.read_frames.system import Hints, System

#: The group of the entry points.
GROUP = 'aiida_deepmd.readers'


class Reader(Protocol):
    """What reads the runs of one program, each of them several files in a folder.

    Its constants are properties here, since a module that is a reader has them in capitals.
    """

    @property
    def PROGRAM(self) -> str:  # noqa: N802
        """Name of the program, for sentences."""

    @property
    def MARK(self) -> str:  # noqa: N802
        """Name of the file that tells a run, for sentences."""

    @property
    def REPLACES(self) -> tuple[str, ...]:  # noqa: N802
        """Formats of dpdata that it reads in dpdata's place."""

    def is_run(self, path: Path) -> bool:
        """Tell whether a file stands for a run, so that it can be given in place of its folder.

        :param path: a file.
        """

    def is_beside_run(self, path: Path) -> bool:
        """Tell whether a file is another one of a run, which cannot be given in place of its folder.

        :param path: a file.
        """

    def find_runs(self, path: Path) -> list[Path]:
        """Find the files that stand for runs at or below a folder.

        :param path: a folder, or such a file.
        """

    def read_runs(self, path: Path, hints: Hints) -> list[System]:
        """Read every run at or below a folder, or the one that a file stands for.

        :param path: a folder, or such a file.
        :param hints: what the user knows and the files don't say.
        :raises ReadError: if there is none, or one cannot be read.
        """


@lru_cache(maxsize=1)
def readers() -> dict[str, Reader]:
    """The readers that are installed, by the names of their formats."""
    return {point.name: point.load() for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}
