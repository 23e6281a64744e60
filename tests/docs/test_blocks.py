"""Every block of code in the documentation: typed or executed where it can be, else understood by its verb."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from aiida import orm
from aiida.engine import WorkChain
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.configuration import get_config
from aiida.plugins import CalculationFactory
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from click.testing import CliRunner

from aiida_deepmd.data.potential import PotentialData
from aiida_sis.cli import main
from aiida_sis.structures.demo import lifsi_ion_pair
from aiida_sis.structures.file import atoms_from_file
from aiida_sis.workflows.protocols import list_protocols, load_protocol

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (
        *(ROOT / 'docs').rglob('*.md'),
        *(ROOT / 'studies').glob('*.md'),
        *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'examples/README.md')),
    )
    if '_build' not in path.parts
)
#: Pages whose answers are those of the example archive.
ASKED = ('docs/query.md', 'docs/share.md')
#: Pages whose scripts have a test of their own.
TESTED = ('README.md', 'docs/own_system.md', 'docs/cluster.md', 'docs/gpu.md')
_PYTHON = re.compile(r'^```python\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r'^(?:<!-- (?P<mark>.+?) -->\n)?```console\n(?P<body>.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """A command of a page.

    :param text: what is typed.
    :param expected: lines that must be printed, in this order, with others between; ``…`` stands for anything.
    :param mark: what stands above its block: nothing, ``real codes``, ``not run here: …``.
    """

    text: str
    expected: tuple[str, ...]
    mark: str


def text_of(page: str) -> str:
    """Return a page by its path below the repository."""
    return (ROOT / page).read_text(encoding='utf-8')


def commands(page: str = 'docs/tutorial.md') -> list[Command]:
    """Return the commands of a page in order: what stands behind a prompt."""
    found: list[Command] = []
    for match in _BLOCK.finditer(text_of(page)):
        for part in re.split(r'^\$ ', match['body'], flags=re.MULTILINE)[1:]:
            text, *expected = part.strip().splitlines()
            found.append(Command(text, tuple(expected), match['mark'] or ''))
    return found


def run_all(folder: Path, chosen: list[Command]) -> None:
    """Run commands one after the other in a shell each, and compare what they print."""
    if not (folder / 'examples').exists():
        (folder / 'examples').symlink_to(ROOT / 'examples')
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    home = folder / 'home'
    home.mkdir(exist_ok=True)
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


def scripts(page: str) -> list[str]:
    """Return the blocks of Python of a page in order."""
    return _PYTHON.findall(text_of(page))


def test_every_verb_is_in_the_tutorial() -> None:
    """No verb is left out."""
    typed = '\n'.join(command.text for command in commands())
    missing = [name for name in main.commands if not re.search(rf'aiida-sis {name}( |$)', typed, re.MULTILINE)]
    assert missing == []


def test_every_mark_is_known() -> None:
    """A block that isn't run says why."""
    marks = {command.mark.partition(':')[0] for page in PAGES for command in commands(page)}
    assert marks == {'', 'real codes', 'not run here'}


def test_tutorial_without_codes(tmp_path: Path) -> None:
    """Import, look, ask, analyse, report, share."""
    run_all(tmp_path, [command for command in commands() if not command.mark])
    assert (tmp_path / 'temperature.png').read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / 'lifsi.html').stat().st_size > 100_000


@pytest.mark.real
def test_what_needs_codes(tmp_path: Path) -> None:
    """Going on from the imported run, with the real codes and the daemon."""
    (first, *_), chosen = commands(), [*commands('docs/share.md'), *commands()]
    try:
        run_all(tmp_path, [first, *(command for command in chosen if command.mark == 'real codes')])
    finally:
        environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / '.sis')}
        verdi = str(Path(sys.executable).parent / 'verdi')
        subprocess.run([verdi, 'daemon', 'stop'], env=environment, check=False, capture_output=True, timeout=120)


@pytest.mark.parametrize('page', ASKED)
def test_printed_answers(page: str, tmp_path: Path) -> None:
    """The answers of the example archive are those that the page shows, and its Python runs on it."""
    first, *_ = commands()
    chosen = [command for command in commands(page) if not command.mark]
    run_all(tmp_path, chosen if 'import examples' in chosen[0].text else [first, *chosen])
    environment = {**os.environ, 'AIIDA_PATH': str(tmp_path / '.sis')}
    for number, script in enumerate(scripts(page)):
        (tmp_path / f'{number}.py').write_text(script)
        command = [sys.executable, f'{number}.py']
        answer = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.strip()


def test_sentence_on_an_origin() -> None:
    """The sentence below the table of origins reads one row of it."""
    (answer,) = (command for command in commands('docs/query.md') if 'query origin' in command.text)
    found = re.search(r'Dataset (\d+) was labelled from structure (\d+), .* of MD (\d+),', text_of('docs/query.md'))
    assert found is not None
    rows = [row.split() for row in answer.expected]
    assert any({row[0], *row[6:8]} == set(found.groups()) for row in rows if len(row) > 7)


@pytest.mark.parametrize('page', [page for page in PAGES if page not in (*ASKED, *TESTED) and scripts(page)])
def test_python(
    page: str,
    aiida_profile_clean,
    stand_in_codes: dict[str, orm.InstalledCode],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each block runs, given what the text around it speaks of; a builder must be one that can be submitted."""
    monkeypatch.chdir(tmp_path)
    _labelled_frames(tmp_path / 'aimd.extxyz')
    names = _names(stand_in_codes)
    for script in scripts(page):
        exec(compile(script, page, 'exec'), names)
        builder = names.pop('builder')
        names['builder'] = CalculationFactory('sis.lammps.md').get_builder()
        if isinstance(builder.process_class, type) and issubclass(builder.process_class, WorkChain):
            instantiate_process(get_manager().get_runner(), builder)


def _names(codes: dict[str, orm.InstalledCode]) -> dict[str, Any]:
    """What the pages take as known: imports that others of their blocks show, codes, structures."""
    from aiida_sis.structures.builders import lithium_cluster_lifsi, lithium_interface
    from aiida_sis.workflows.hybrid import HybridWorkChain
    from aiida_sis.workflows.sis import SisWorkChain

    pair = lifsi_ion_pair()
    lithium = orm.StructureData(ase=bulk('Li', 'bcc', a=3.49, cubic=True) * (3, 3, 3))
    potentials = (PotentialData({'model.pb': bytes([number])}, ['Li']) for number in range(3))
    return {
        **dict(zip(('other', 'third', 'fourth'), potentials, strict=True)),
        'SisWorkChain': SisWorkChain,
        'HybridWorkChain': HybridWorkChain,
        'lithium_cluster_lifsi': lithium_cluster_lifsi,
        'lithium_interface': lithium_interface,
        'builder': CalculationFactory('sis.lammps.md').get_builder(),
        'codes': codes,
        'electrolyte': pair,
        'interface': lithium_interface(orm.Dict({'n_lifsi': 1, 'n_dol': 13}), orm.Int(1))['structure'],
        'lithium': lithium,
        'orm': orm,
        'structure': pair,
    }


def _labelled_frames(path: Path) -> None:
    """Write a few frames of an AIMD as a user may have them."""
    rng = np.random.default_rng(1)
    frames = []
    for number in range(40):
        atoms = lifsi_ion_pair().get_ase()
        atoms.positions += rng.normal(scale=0.01, size=(len(atoms), 3))
        forces = rng.normal(size=(len(atoms), 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-100.0 + 0.01 * number, forces=forces - forces.mean(axis=0))
        frames.append(atoms)
    write(path, frames)


@pytest.mark.parametrize('page', PAGES)
def test_commands_are_understood(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that stand there without a prompt are examples: the verb takes their arguments."""
    monkeypatch.chdir(tmp_path)
    for match in _BLOCK.finditer(text_of(page)):
        for line in match['body'].splitlines():
            words = shlex.split(line, comments=True) if line.startswith('aiida-sis ') else []
            words = words[: words.index('|')] if '|' in words else words
            command: click.Command = main
            del words[:1]
            while isinstance(command, click.Group) and words:
                command = command.commands[words.pop(0)]
            for word in words:
                if '.' in word.strip('.') or word.isupper():
                    Path(word).parent.mkdir(parents=True, exist_ok=True)
                    Path(word).touch()  # the files that the example names
            if words:
                command.make_context('verb', words)


@pytest.fixture
def submitted(
    stand_in_codes: dict[str, orm.InstalledCode], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[orm.ProcessNode]:
    """What a script submits: inputs that the workchain accepts; only the daemon that would run them is not here.

    The codes are those of the setup, on `localhost`.
    """
    for code in stand_in_codes.values():
        code.computer.label = 'localhost'
    monkeypatch.chdir(tmp_path)
    found: list[orm.ProcessNode] = []

    def store(builder: object) -> orm.ProcessNode:
        found.append(instantiate_process(get_manager().get_runner(), builder).node)
        return found[-1]

    monkeypatch.setattr('aiida.load_profile', lambda: None)  # the tests have one
    monkeypatch.setattr('aiida.engine.submit', store)
    return found


def test_script_of_the_readme(
    aiida_profile_clean, submitted: list[orm.ProcessNode], capsys: pytest.CaptureFixture[str]
) -> None:
    """The snippet submits a run of the file that it names."""
    (script,) = scripts('README.md')
    lifsi_ion_pair().get_ase().write('electrolyte.xyz', format='extxyz')
    exec(compile(script, 'README.md', 'exec'), {'__name__': 'readme'})
    assert capsys.readouterr().out.strip() == str(submitted[0].pk)
    assert submitted[0].process_label == 'SisWorkChain'


def test_overrides_of_the_protocols() -> None:
    """Each example of the page can be laid over every protocol; the first replaces the learning rate."""
    examples = [
        ast.literal_eval(found) for found in re.findall(r"`(\{'.+?\})` \|$", text_of('docs/protocols.md'), re.M)
    ]
    assert len(examples) == 3
    for name in list_protocols():
        for example in examples:
            load_protocol(name, example)
    replaced = load_protocol('fast', examples[0])['dp']
    assert {key: replaced[key] for key in examples[0]['dp']} == examples[0]['dp']


def test_own_system(
    aiida_profile_clean,
    submitted: list[orm.ProcessNode],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The molecule of the page becomes a run, by its command and by its script, and shows the numbers of the page."""
    page = text_of('docs/own_system.md')
    texts = re.findall(r'^```text\n(.*?)^```$', page, re.MULTILINE | re.DOTALL)
    Path('lipf6.xyz').write_text(texts[0])
    codes = ['--cp2k', 'cp2k', '--dp', 'dp', '--lmp', 'lmp', '-p', str(get_config().default_profile_name)]
    words = 'run lipf6.xyz --protocol demo --length 20'
    assert f'aiida-sis {words} --dry-run' in page
    shown = CliRunner().invoke(main, [*words.split(), '--dry-run', *codes])
    assert shown.exit_code == 0, shown.output
    compare(Command(words, tuple(texts[1].splitlines()), ''), shown.output)
    assert not submitted
    assert CliRunner().invoke(main, [*words.split(), '--no-wait', *codes]).exit_code == 0
    structure = orm.StructureData(ase=atoms_from_file(Path('lipf6.xyz'), (10.0, 10.0, 10.0))).store()
    monkeypatch.setattr(sys, 'argv', ['submit.py', str(structure.pk)])
    (script,) = scripts('docs/own_system.md')
    exec(compile(script, 'submit.py', 'exec'), {'__name__': '__main__'})
    assert capsys.readouterr().out.strip() == str(submitted[1].pk)
    assert submitted[0].inputs.parameters['optimise_first'] is submitted[1].inputs.parameters['optimise_first'] is True
    for override in re.findall(r"`(\{'.+?\})`", page):
        load_protocol('demo', ast.literal_eval(override))
