"""Readers of further programs, found by their entry points."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest

from aiida_deepmd.frames import Frames
from aiida_deepmd.read_frames import Hints, ReadError, System, guess_format, plugins, read_systems


class Reader:
    """Reads folders with a file `energies.toy`, one number a frame, of a lone lithium atom."""

    PROGRAM, MARK, REPLACES = 'Toy', 'energies.toy', ('toy/run',)

    def is_run(self, path: Path) -> bool:
        return path.name == self.MARK

    def is_beside_run(self, path: Path) -> bool:
        return path.suffix == '.toyout'

    def find_runs(self, path: Path) -> list[Path]:
        return sorted(path.rglob(self.MARK)) if path.is_dir() else [path]

    def read_runs(self, path: Path, hints: Hints) -> list[System]:
        systems = []
        for file in self.find_runs(path):
            energies = np.loadtxt(file, ndmin=1)
            shape = (len(energies), 1, 3)
            frames = Frames(np.zeros(shape), np.tile(9.0 * np.eye(3), (len(energies), 1, 1)), energies, np.ones(shape))
            systems.append(System(file.parent.name, frames, ['Li'], (file,)))
        return systems


toy: plugins.Reader = Reader()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Only the reader of this file is installed."""
    point = EntryPoint('toy', f'{__name__}:toy', plugins.GROUP)
    monkeypatch.setattr(EntryPoint, 'load', lambda self: toy)
    monkeypatch.setattr(plugins, 'entry_points', lambda group: EntryPoints([point]).select(group=group))
    plugins.readers.cache_clear()
    yield
    plugins.readers.cache_clear()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two frames."""
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/energies.toy').write_text('-1.0\n-2.0\n')
    (tmp_path / 'run/log.toyout').write_text('done')
    return tmp_path / 'run'


@pytest.mark.usefixtures('installed')
def test_a_reader_is_asked_for_its_runs(run: Path) -> None:
    assert guess_format(run.parent) == guess_format(run / 'energies.toy') == 'toy'
    for path, fmt in ((run.parent, None), (run / 'energies.toy', None), (run, 'toy'), (run, 'toy/run')):
        (system,) = read_systems(path, fmt)
        assert (system.name, system.symbols, system.frames.energies.tolist()) == ('run', ['Li'], [-1.0, -2.0])


@pytest.mark.usefixtures('installed')
def test_sentences_name_the_program(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match='is one file of a Toy run: give its folder'):
        guess_format(run / 'log.toyout')
    (run / 'type.raw').write_text('0')
    with pytest.raises(
        ReadError, match=r'holds data of DeePMD-kit and runs of Toy: .* --format deepmd/npy or --format t'
    ):
        guess_format(run)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ReadError, match=r'has no type\.raw \(DeePMD-kit\) and no energies\.toy \(Toy\) in or below'):
        guess_format(tmp_path / 'empty')


def test_without_a_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plugins, 'entry_points', lambda group: EntryPoints())
    plugins.readers.cache_clear()
    with pytest.raises(ReadError, match=r'has no type\.raw \(DeePMD-kit\) in or below it'):
        guess_format(tmp_path)
    plugins.readers.cache_clear()
