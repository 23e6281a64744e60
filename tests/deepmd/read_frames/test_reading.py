"""Which reader a path is for, and the digests of its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_deepmd.read_frames import ReadError, check_type_map, digests, guess_format, read_systems


@pytest.mark.parametrize(
    ('name', 'fmt'),
    [('OUTCAR', 'vasp/outcar'), ('OUTCAR.1', 'vasp/outcar'), ('vasprun.xml', 'vasp/xml'), ('b.extxyz', 'extxyz')],
)
def test_format_by_name(tmp_path: Path, name: str, fmt: str) -> None:
    (tmp_path / name).write_text('1\n\nH 0 0 0\n')
    assert guess_format(tmp_path / name) == fmt


def test_deepmd_folders_at_any_depth(tmp_path: Path) -> None:
    for folder in ('x/one', 'x/two/deep'):
        (tmp_path / folder / 'set.000').mkdir(parents=True)
        (tmp_path / folder / 'type.raw').write_text('1\n0\n')
        (tmp_path / folder / 'type_map.raw').write_text('F\nLi\n')
        for key, width in (('coord', 6), ('force', 6), ('box', 9)):
            np.save(tmp_path / folder / f'set.000/{key}.npy', np.full((2, width), 1.5))
        np.save(tmp_path / folder / 'set.000/energy.npy', [-1.0, -2.0])
    systems = read_systems(tmp_path / 'x')
    assert [(one.name, one.symbols) for one in systems] == [('one', ['Li', 'F']), ('two/deep', ['Li', 'F'])]
    (one,) = read_systems(tmp_path / 'x/one')
    assert one.name == ''
    found = digests(one.files, tmp_path / 'x')
    assert set(found) == {
        'one/type.raw', 'one/type_map.raw', *(f'one/set.000/{key}.npy' for key in ('box', 'coord', 'energy', 'force')),
    }  # fmt: skip
    assert {len(digest) for digest in found.values()} == {64}
    assert list(digests([tmp_path / 'x/one/type.raw'], tmp_path / 'x/one/type.raw')) == ['type.raw']


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / 'vasp').mkdir()
    (tmp_path / 'vasp/OUTCAR').write_text('no')
    (tmp_path / 'what').write_text('no')
    for path, fmt, words in (
        ('nowhere', None, 'does not exist'),
        ('vasp', None, 'no type.raw .* give a file, .*vasp/OUTCAR'),
        ('vasp', 'deepmd/npy', 'no type.raw in or below it'),
        ('vasp/OUTCAR', None, 'dpdata can.t read .*OUTCAR. as vasp/outcar: ValueError: cannot get atom names'),
        ('what', None, '--format'),
        ('what', 'no/such', "format 'no/such' is known neither"),
    ):
        with pytest.raises(ReadError, match=words):
            read_systems(tmp_path / path, fmt)


@pytest.mark.parametrize(
    ('type_map', 'words'),
    [
        (['Na', 'Na', 'Cl'], 'names Na more than once'),
        (['Na Cl'], "names 'Na Cl', no element"),
        (['Na_bulk', 'Cl'], "names 'Na_bulk', no element"),
        (['X'], "'X', no element"),
    ],
)
def test_type_maps(type_map: list[str], words: str) -> None:
    with pytest.raises(ReadError, match=words):
        check_type_map(type_map)
    check_type_map(['Li', 'O'])
