"""``export``, ``import``, ``model`` and ``continue`` as they are typed, in profiles of their own."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiida import orm
from aiida.manage.configuration import get_config
from click.testing import CliRunner, Result

from aiida_sis.cli import main
from aiida_sis.cli.cmd_export import size_in_words
from tests.share.test_continuation import FIRST, GENERATION_0, killed

RUN = 'd9afb901-9948-4029-a687-394b1353eab3'


def call(*arguments: str) -> Result:
    """Type a command on the profile of the tests."""
    return CliRunner().invoke(main, [*arguments, '-p', str(get_config().default_profile_name)])


#: Type the commands of the standard input one after the other, and print what each has printed.
TYPE = """
import json, sys
from click.testing import CliRunner
from aiida_sis.cli import main
results = [CliRunner().invoke(main, words) for words in json.load(sys.stdin)]
json.dump([(result.exit_code, result.stdout, result.stderr) for result in results], sys.stdout)
"""


def in_profile(folder: Path, *commands: tuple[str, ...]) -> list[str]:
    """Type commands on an isolated profile, all in one process that has no other."""
    environment = {key: value for key, value in os.environ.items() if key != 'AIIDA_PATH'}
    answer = subprocess.run(
        [sys.executable, '-c', TYPE],
        input=json.dumps([[*words, '--profile-dir', str(folder)] for words in commands]),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**environment, 'HOME': str(folder.parent), 'COLUMNS': '200'},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    results = json.loads(answer.stdout)
    for words, (code, printed, errors) in zip(commands, results, strict=True):
        assert code == 0, f'{words}\n{printed}{errors}'
    return [printed for _, printed, _ in results]


def without_pks(value: Any) -> Any:
    """What does not depend on the profile."""
    if isinstance(value, dict):
        return {key: without_pks(item) for key, item in value.items() if key != 'pk'}
    return [without_pks(item) for item in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_two_profiles_answer_alike(tmp_path: Path, example_archive: Path) -> None:
    """Import, export, import elsewhere: every verb that reads says the same to the letter, PKs aside."""
    first, second = tmp_path / 'first', tmp_path / 'second'
    imported, exported = in_profile(
        first, ('import', str(example_archive)), ('export', RUN, str(tmp_path / 'run.aiida'))
    )
    assert 'Run' in imported
    assert exported.startswith('200 nodes, 492 links, 268 files')
    (imported,) = in_profile(second, ('import', str(tmp_path / 'run.aiida')))
    assert '200 new nodes' in imported
    assert not (tmp_path / '.aiida').exists()
    questions = (
        ('runs',), ('catastrophes',), ('models',), ('cost',), ('cost', '-g'), ('frames', RUN), ('origin', RUN)
    )  # fmt: skip
    asked = [('query', *question, '-f', 'json') for question in questions]
    answers, status = [], []
    for folder in (first, second):
        made = [('model', RUN, '-o', str(folder / 'model')), ('plot', RUN, '-o', str(folder / 'figure.png'))]
        *printed, said, _, _ = in_profile(folder, *asked, ('status', RUN), *made)
        answers.append([json.loads(answer) for answer in printed])
        status.append(re.sub(r'SIS run \d+', '', said))
    for question, one, other in zip(questions, *answers, strict=True):
        assert without_pks(one) == without_pks(other), question
        assert len(one) > 0
    assert status[0] == status[1]
    assert 'Acceleration ratio (stable MD over labelled time): 62.5' in status[0]
    trees = [
        {path.relative_to(folder): path.read_bytes() for path in (folder / 'model').rglob('*') if path.is_file()}
        for folder in (first, second)
    ]
    assert trees[0] == trees[1]
    assert (first / 'figure.png').read_bytes() == (second / 'figure.png').read_bytes()


def test_export_says_before_it_writes(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """A dry run writes nothing; an existing file is kept."""
    path = tmp_path / 'a.aiida'
    result = call('export', RUN, str(path), '--dry-run', '--without-trajectories', '--without-remote')
    assert result.exit_code == 0, result.output
    assert not path.exists()
    for words in ('188 nodes', 'trajectory files of 16 nodes', '12 remote folders', 'The archive takes about'):
        assert words in result.output
    path.write_text('mine')
    result = call('export', RUN, str(path))
    assert (result.exit_code, path.read_text()) == (1, 'mine')
    assert '--force' in result.output
    assert call('export', RUN, str(path), '--force').exit_code == 0
    assert path.stat().st_size > 1_000_000


@pytest.mark.parametrize('kind', ['text', 'half', 'another zip file', 'a changed byte'])
def test_import_of_nonsense(aiida_profile_clean, example_archive: Path, tmp_path: Path, kind: str) -> None:
    """One sentence, no traceback, and no empty profile is left."""
    content, file = example_archive.read_bytes(), tmp_path / 'x'
    changed = bytearray(content)
    changed[len(content) // 2] ^= 255
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('a', 'b')
    written = {'text': b'x', 'half': content[: len(content) // 2], 'another zip file': buffer.getvalue()}
    file.write_bytes(written.get(kind, bytes(changed)))
    for words in (['-p', str(get_config().default_profile_name)], ['--profile-dir', str(tmp_path / 'new')]):
        result = CliRunner().invoke(main, ['import', str(file), *words])
        assert result.exit_code == 1
        assert re.search(r'is (no AiiDA archive|damaged).*\.$', result.output.strip(), re.DOTALL), result.output
        assert 'Traceback' not in result.output
    assert not (tmp_path / 'new').exists()


def test_continue_dry_run(example_run: orm.WorkChainNode, stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """What would be run is said, and nothing is submitted."""
    names = [word for key, code in stand_in_codes.items() for word in (f'--{key}', code.full_label)]
    before = orm.QueryBuilder().append(orm.WorkChainNode).count()
    result = call('continue', RUN, *names, '--dry-run', '--length-ps', '80', '--generations', '3')
    assert result.exit_code == 0, result.output
    for words in ('4 datasets with 804 frames', 'high-fidelity: 80 ps', 'At most 3 more generations', 'seed 2'):
        assert words in result.output
    training = yaml.safe_load(result.output.partition('Input of the first training:')[2])
    learning = example_run.inputs.parameters['learning']
    assert training['training']['numb_steps'] == learning['fine_tune_steps']
    assert training['learning_rate']['stop_lr'] <= training['learning_rate']['start_lr']
    assert training['model'] == example_run.inputs.train.train.parameters['model']
    assert orm.QueryBuilder().append(orm.WorkChainNode).count() == before


def test_continue_a_killed_run(example_run: orm.WorkChainNode, stand_in_codes: dict[str, orm.InstalledCode]) -> None:
    """What was found in its parts is said, and what is missing."""
    names = [word for key, code in stand_in_codes.items() for word in (f'--{key}', code.full_label)]
    killed(example_run, *GENERATION_0, 'label_g1_0')
    result = call('continue', RUN, *names, '--dry-run')
    assert result.exit_code == 0, result.output
    assert 'Found in its parts, not among its outputs: g0_0, g0_1, g1_0.' in result.output
    assert 'Left out' not in result.output
    killed(example_run, *FIRST)
    result = call('continue', RUN, *names, '--dry-run')
    assert result.exit_code == 0, result.output
    assert 'no potential yet, so it labels what is missing and trains' in result.output
    training = yaml.safe_load(result.output.partition('Input of the first training:')[2])
    assert training['learning_rate'] == example_run.inputs.train.train.parameters['learning_rate']
    killed(example_run)
    result = call('continue', RUN, *names, '--dry-run')
    assert result.exit_code == 1
    assert 'there is nothing to go on from' in result.output


def test_continue_needs_codes_and_a_run(example_run: orm.WorkChainNode) -> None:
    """With a profile of one's own the codes are named; what is no run is refused."""
    assert '--cp2k is missing' in call('continue', RUN, '--dry-run').output
    assert 'no code nowhere' in call('continue', RUN, '--cp2k', 'nowhere', '--dp', 'a', '--lmp', 'b').output
    training = next(node for node in example_run.called if node.process_label == 'DeepmdBaseWorkChain')
    assert 'is a DeepmdBaseWorkChain, not a run' in call('continue', training.uuid).output


def test_model_of_nothing(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """A node without a potential, and a folder with other things in it."""
    structure = example_run.inputs.systems['ion_pair']
    assert 'without a potential' in call('model', structure.uuid, '-o', str(tmp_path / 'm')).output
    (tmp_path / 'mine').write_text('')
    result = call('model', RUN, '-o', str(tmp_path))
    assert result.exit_code == 1
    assert 'is not empty' in result.output


@pytest.mark.parametrize(
    ('size', 'words'),
    [(0, '0 B'), (999, '999 B'), (1000, '1.0 kB'), (123_456, '123 kB'), (5_702_950, '5.7 MB'), (4 * 10**9, '4.0 GB')],
)
def test_size_in_words(size: int, words: str) -> None:
    """Decimal units, two or three digits."""
    assert size_in_words(size) == words
