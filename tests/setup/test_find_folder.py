"""Which folder a command looks into where nobody names one."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from aiida_sis.setup.profile import DEFAULT_FOLDER, find_folder, open_profile


def configure(folder: Path, *profiles: str) -> Path:
    """Write what AiiDA's configuration says of profiles; the first is the default one."""
    (folder / '.aiida').mkdir(parents=True)
    values = {'profiles': {name: {} for name in profiles}, **({'default_profile': profiles[0]} if profiles else {})}
    (folder / '.aiida' / 'config.json').write_text(json.dumps(values), encoding='utf-8')
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder, at home in another, without AIIDA_PATH."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('AIIDA_PATH', raising=False)
    return tmp_path / 'home'


def test_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AIIDA_PATH before the folder one stands in, and that before the installation at home."""
    assert find_folder() == DEFAULT_FOLDER, 'for the sentence that names the setup'
    configure(home, 'own')
    assert find_folder() == home
    configure(Path('.sis'), 'sis')
    assert find_folder() == DEFAULT_FOLDER
    elsewhere = configure(tmp_path / 'elsewhere', 'sis')
    monkeypatch.setenv('AIIDA_PATH', f'{tmp_path / "nothing"}:{elsewhere}')
    assert find_folder() == elsewhere
    monkeypatch.setenv('AIIDA_PATH', str(elsewhere / '.aiida'))
    assert find_folder() == elsewhere, 'AiiDA takes both'


def test_nothing_is_made_in_another_installation(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setup takes a folder of AIIDA_PATH only where it has made a profile there before."""
    configure(home, 'own')
    monkeypatch.setenv('AIIDA_PATH', str(configure(tmp_path / 'other', 'own')))
    assert find_folder() == tmp_path / 'other'
    assert find_folder(to_make=True) == DEFAULT_FOLDER
    monkeypatch.setenv('AIIDA_PATH', str(configure(tmp_path / 'made', 'own', 'sis')))
    assert find_folder(to_make=True) == tmp_path / 'made'


def test_configuration_without_a_profile(home: Path) -> None:
    """`verdi` makes one as soon as it is called; it has nothing to read."""
    configure(home)
    assert find_folder() == DEFAULT_FOLDER


def test_nothing_found_is_one_sentence(home: Path) -> None:
    """It names the places, and makes none of them."""
    with pytest.raises(click.UsageError, match=r'no profile in \.sis, AIIDA_PATH names none .* setup` makes one'):
        open_profile(find_folder(), None)
    assert not home.exists()
