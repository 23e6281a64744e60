"""The tutorial, command by command, in a folder and a profile of its own; and the script in the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiida import orm

from aiida_sis.cli import main
from aiida_sis.structures.demo import lifsi_ion_pair

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r'^(?:<!-- (?P<mark>.+?) -->\n)?```console\n(?P<body>.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command of the tutorial.

    :param text: what is typed.
    :param expected: lines that must be printed, in this order, with others between; ``…`` stands for anything.
    :param mark: what stands above its block: nothing, ``real codes``, ``not run here: …``.
    """

    text: str
    expected: tuple[str, ...]
    mark: str


def commands() -> list[Command]:
    """Return the commands of the tutorial in order."""
    found: list[Command] = []
    for match in _BLOCK.finditer((ROOT / 'docs' / 'tutorial.md').read_text(encoding='utf-8')):
        for part in re.split(r'^\$ ', match['body'], flags=re.MULTILINE)[1:]:
            text, *expected = part.strip().splitlines()
            found.append(Command(text, tuple(expected), match['mark'] or ''))
    return found


def run_all(folder: Path, chosen: list[Command]) -> None:
    """Run commands one after the other in a shell each, and compare what they print."""
    (folder / 'examples').symlink_to(ROOT / 'examples')
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    home = folder / 'home'
    home.mkdir()
    outside = {key: value for key, value in os.environ.items() if key != 'AIIDA_PATH'}
    environment = {**outside, 'PATH': path, 'HOME': str(home), 'COLUMNS': '160', 'OMP_NUM_THREADS': '1'}
    for command in chosen:
        answer = subprocess.run(
            ['bash', '-o', 'pipefail', '-c', command.text],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert answer.returncode == 0, f'{command.text}\n{answer.stdout}{answer.stderr}'
        compare(command, answer.stdout)
    assert not (home / '.aiida').exists()


def compare(command: Command, printed: str) -> None:
    """Find the expected lines among the printed ones, in order, whatever the spaces."""
    lines = iter(printed.splitlines())
    for expected in command.expected:
        words = [re.escape(word).replace('…', '.*') for word in expected.split()]
        pattern = re.compile(r'\s*' + r'\s+'.join(words) + r'\s*')
        assert any(pattern.fullmatch(line) for line in lines), f'{command.text}: no line {expected!r} in\n{printed}'


def test_every_verb_is_in_the_tutorial() -> None:
    """No verb is left out."""
    typed = '\n'.join(command.text for command in commands())
    missing = [name for name in main.commands if not re.search(rf'aiida-sis {name}( |$)', typed, re.MULTILINE)]
    assert missing == []


def test_every_mark_is_known() -> None:
    """A block that isn't run says why."""
    marks = {command.mark.partition(':')[0] for command in commands()}
    assert marks == {'', 'real codes', 'not run here'}


def test_tutorial_without_codes(tmp_path: Path) -> None:
    """Import, look, ask, analyse, report, share."""
    run_all(tmp_path, [command for command in commands() if not command.mark])
    assert (tmp_path / 'temperature.png').read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / 'lifsi.html').stat().st_size > 100_000


@pytest.mark.real
def test_tutorial_with_codes(tmp_path: Path) -> None:
    """Going on from the imported run, with the real codes and the daemon."""
    chosen = commands()
    try:
        run_all(tmp_path, [chosen[0], *(command for command in chosen if command.mark == 'real codes')])
    finally:
        environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / '.sis')}
        verdi = str(Path(sys.executable).parent / 'verdi')
        subprocess.run([verdi, 'daemon', 'stop'], env=environment, check=False, capture_output=True, timeout=120)


def test_script_of_the_readme(
    aiida_profile_clean,
    stand_in_codes: dict[str, orm.InstalledCode],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The snippet builds inputs that the workchain accepts; only the daemon that would run them is not here."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    (script,) = re.findall(r'^```python\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    for label in stand_in_codes:
        assert f"'{label}@localhost'" in script
        stand_in_codes[label].computer.label = 'localhost'
    lifsi_ion_pair().get_ase().write(tmp_path / 'electrolyte.xyz', format='extxyz')
    monkeypatch.chdir(tmp_path)
    submitted: list[orm.ProcessNode] = []

    def store(builder: object) -> orm.ProcessNode:
        from aiida.engine.utils import instantiate_process
        from aiida.manage import get_manager

        submitted.append(instantiate_process(get_manager().get_runner(), builder).node)
        return submitted[0]

    monkeypatch.setattr('aiida.load_profile', lambda: None)  # the tests have one
    monkeypatch.setattr('aiida.engine.submit', store)
    exec(compile(script, 'README.md', 'exec'), {'__name__': 'readme'})
    assert capsys.readouterr().out.strip() == str(submitted[0].pk)
    assert submitted[0].process_label == 'SisWorkChain'
