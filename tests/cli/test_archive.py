"""Commands that read an archive where it lies."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from aiida import orm
from aiida.manage import get_manager
from aiida.tools.archive import create_archive
from click.testing import CliRunner, Result

from aiida_sis.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def place(aiida_profile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Work in an empty folder, and go back to the profile of the tests after it."""
    monkeypatch.chdir(tmp_path)
    before = get_manager().get_profile()
    yield
    if before is not None:
        get_manager().load_profile(before, allow_switch=True)


def call(*arguments: str) -> Result:
    """Call a command, with no profile named."""
    return CliRunner().invoke(main, list(arguments))


def test_nothing_is_left_behind(example_archive: Path, tmp_path: Path) -> None:
    """A newcomer without any profile sees the run; the archive is not changed and no folder is made."""
    before = hashlib.sha256(example_archive.read_bytes()).hexdigest()
    environment = {key: value for key, value in os.environ.items() if key != 'AIIDA_PATH'}
    environment |= {'HOME': str(tmp_path), 'TMPDIR': str(tmp_path)}
    command = [sys.executable, '-c', 'from aiida_sis.cli import main; main()', 'status', str(example_archive)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 'Verdict: stable through the last stage' in done.stdout
    assert hashlib.sha256(example_archive.read_bytes()).hexdigest() == before
    assert [path.name for path in tmp_path.iterdir() if path.name not in ('.cache', '.config')] == []


def test_status_is_that_of_the_run(example_archive: Path) -> None:
    """The keys are those of a run in a profile."""
    status = json.loads(call('status', str(example_archive), '--json').stdout)
    assert (status['outcome'], status['generation'], status['md_ps']) == ('stable', 1, 50.0)
    assert status['generations'][0]['md'][0]['t_cp_ps'] == pytest.approx(0.063)


def test_questions(example_archive: Path) -> None:
    """An archive stands before the question, behind it, or in place of a PK; alone it lists its runs."""
    name = str(example_archive)
    rows = json.loads(call('query', name, 'catastrophes', '-f', 'json').stdout)
    assert [row['t_cp_ps'] for row in rows] == pytest.approx([0.063, 0.406])
    assert json.loads(call('query', 'catastrophes', '--archive', name, '-f', 'json').stdout) == rows
    assert '50.0' in call('query', name).stdout
    frames = json.loads(call('query', 'frames', name, '-f', 'json').stdout)
    assert sum(row['n_frames'] for row in frames) == 804


def test_report_and_plot(example_archive: Path) -> None:
    """The page and the figures are written where the reader is."""
    run = json.loads(call('status', str(example_archive), '--json').stdout)['pk']
    assert call('report', str(example_archive)).output.strip() == f'sis-{run}.html'
    assert 'stable' in Path(f'sis-{run}.html').read_text()
    assert call('plot', str(run), '--archive', str(example_archive)).output.strip() == f'sis-{run}.png'
    assert Path(f'sis-{run}.png').read_bytes().startswith(b'\x89PNG')


def test_remedies_name_the_archive(example_archive: Path) -> None:
    """A wrong PK is answered by a command line that reads the same archive."""
    result = call('status', '99999', '--archive', str(example_archive))
    assert result.exit_code == 2
    assert f'`aiida-sis query runs --archive {example_archive}` lists the runs.' in ' '.join(result.output.split())


@pytest.mark.parametrize(
    ('content', 'sentence'),
    [
        (None, 'there is no file one.aiida: give an archive, as `aiida-sis export` writes it.'),
        (b'no zip', 'one.aiida is no AiiDA archive: it is not even a zip file. Copy it again, whole.'),
    ],
)
def test_what_is_no_archive(content: bytes | None, sentence: str) -> None:
    """One sentence, and the exit code of a wrong argument."""
    if content is not None:
        Path('one.aiida').write_bytes(content)
    result = call('report', 'one.aiida')
    assert result.exit_code == 2
    assert sentence in ' '.join(result.output.split())


def test_a_zip_file_that_is_no_archive() -> None:
    """Whatever else is a zip file, a spreadsheet for example, is refused in one sentence too."""
    with zipfile.ZipFile('one.aiida', 'w') as file:
        file.writestr('sheet.xml', '<sheet/>')
    result = call('status', 'one.aiida')
    assert result.exit_code == 2
    sentence = 'one.aiida is no AiiDA archive: give a file that `aiida-sis export` wrote.'
    assert sentence in ' '.join(result.output.split())


def test_two_places(example_archive: Path) -> None:
    """An archive and a profile, or two archives, can't be read at once."""
    name = str(example_archive)
    assert 'give one of the two' in call('status', '1', '--archive', name, '-p', 'mine').output
    assert 'give one of the two' in call('status', name, '-p', 'mine').output
    assert 'give one of the two' in call('status', name, '--archive', name).output


def test_archive_of_two_runs(make_full_run, tmp_path: Path) -> None:
    """It does not say which: both are named, with arguments that work."""
    runs = [make_full_run() for _ in range(2)]
    for node in orm.QueryBuilder().append(orm.ProcessNode).all(flat=True):
        node.seal()
    create_archive(runs, filename=tmp_path / 'two.aiida')
    result = call('status', 'two.aiida')
    assert result.exit_code == 2
    words = ' '.join(result.output.split())
    assert 'two.aiida holds 2 runs; name one of its runs' in words
    arguments = words.split(': ')[-1].rstrip('.').split()
    assert arguments[1:] == ['--archive', 'two.aiida']
    assert call('status', *arguments).exit_code == 0
