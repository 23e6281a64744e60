"""What the commands refuse: in one sentence that blames the right thing, and whose remedy works."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from click.testing import CliRunner, Result

from aiida_sis.cli import cmd_query, main
from aiida_sis.command_lines import again, verdi
from aiida_sis.core.indicator import Bound


def call(command: str, own: bool = True) -> Result:
    """Type a command, on the profile of the tests as if it were a user's own."""
    profile = ['-p', str(get_config().default_profile_name)] if own else []
    result = CliRunner().invoke(main, [*shlex.split(command), *profile])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize('command', ['status', 'report', 'plot', 'query frames', 'query origin', 'query uses'])
def test_what_is_no_node(aiida_profile_clean: Any, command: str) -> None:
    """A number beyond the database's, nothing at all and a wildcard."""
    assert 'there is no node 99999999999999999999' in call(f'{command} 99999999999999999999').output
    for text in ('', '%'):
        assert f"'{text}' is no PK and no UUID" in call(f"{command} '{text}'").output


def test_beginning_of_several_uuids(aiida_profile_clean: Any) -> None:
    """Several nodes are not none."""
    uuids = [orm.Int(number).store().uuid for number in range(40)]
    letter = next(one for one in '0123456789abcdef' if sum(uuid.startswith(one) for uuid in uuids) > 1 and one > '9')
    assert f'several nodes have a UUID that begins with {letter}' in call(f'status {letter}').output


def test_part_of_a_run_names_the_run(example_run: orm.WorkChainNode) -> None:
    """A job deep inside a run, too; the PK that is named works."""
    job = orm.QueryBuilder().append(orm.CalcJobNode).first(flat=True)
    for node in (job, job.caller):
        assert f'a part of run {example_run.pk}: give that PK' in call(f'status {node.pk}').output
    assert call(f'status {example_run.pk}').exit_code == 0


def test_commands_that_are_named_reach_the_profile_that_is_open(aiida_profile_clean: Any) -> None:
    """Another profile has another node under the same PK, and `kill` would end that."""
    name = get_config().default_profile_name
    assert again('query runs') == f'aiida-sis query runs -p {name}'
    assert verdi('process kill 3') == f'verdi -p {name} process kill 3'
    assert f'`aiida-sis query runs -p {name}` lists the runs' in call('status 999999').output
    assert call('query runs').exit_code == 0


def test_profile_of_aiida_path(example_run: orm.WorkChainNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder, as `verdi` finds it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('AIIDA_PATH', str(Path(get_config().dirpath).parent))
    result = call(f'status {example_run.pk}', own=False)
    assert result.exit_code == 0, result.output
    assert f'SIS run {example_run.pk}' in result.output


def test_no_profile_names_the_setup(tmp_path: Path) -> None:
    """A newcomer has none yet."""
    assert '`aiida-sis setup` makes one' in call(f'status 1 --profile-dir {tmp_path}', own=False).output


@pytest.mark.parametrize('command', ['demo --no-wait', 'rehearse --no-wait'])
def test_folder_that_cannot_be_made(command: str) -> None:
    """In /proc nobody can make a folder."""
    result = call(f'{command} --profile-dir /proc/nowhere', own=False)
    assert 'name another folder with --profile-dir' in result.output


def test_before_the_setup(tmp_path: Path) -> None:
    """What cannot work is refused before a daemon is started."""
    for command, words in (
        ('demo --seed -1', '-1 is not in the range'),
        ('rehearse --seed -1', '-1 is not in the range'),
        ('rehearse --choice entropy', 'give --max-frames'),
    ):
        assert words in call(f'{command} --profile-dir {tmp_path}', own=False).output
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ('command', 'words'),
    [
        ('report {} -o page.pdf', 'does not end with .html'),
        ('report {} -o /proc/page.html', '/proc/page.html cannot be written'),
        ('plot {} -o picture.xyz', "Format 'xyz' is not supported"),
        ('plot {} -o picture', 'give picture.png, say'),
        ('plot {} -o .', 'is a folder; give the name of a file'),
        ('plot {} -o numbers.csv', 'is no picture; add --csv'),
        ('plot {} --csv -o picture.png', 'leave out --csv or end it with .csv'),
        ('plot {} -o /proc/picture.png', '/proc/picture.png cannot be written'),
        ('plot {} --figure growth -o /proc/picture.png', '/proc/picture.png cannot be written'),
        ('plot {} --figure all -o /proc/pictures', '/proc/pictures cannot be written'),
    ],
)
def test_files(
    example_run: orm.WorkChainNode, command: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names without a format or with another one, folders, and places where nothing can be written."""
    monkeypatch.chdir(tmp_path)
    result = call(command.format(example_run.pk))
    assert result.exit_code == 2
    assert words in result.output
    assert not list(tmp_path.iterdir())


def test_csv_as_the_sentence_says(
    example_run: orm.WorkChainNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy for `plot -o numbers.csv`."""
    monkeypatch.chdir(tmp_path)
    assert call(f'plot {example_run.pk} --csv -o numbers.csv').exit_code == 0
    assert (tmp_path / 'numbers.csv').read_text(encoding='utf-8').startswith('generation')


def test_filters_of_catastrophes(example_run: orm.WorkChainNode) -> None:
    """A misspelt filter is not "no catastrophe", and an answer names what was asked."""
    assert set(cmd_query.BOUNDS) == set(get_args(Bound))
    assert "did you mean 'Li'" in call('query catastrophes --element li').output
    assert "'Lithium' is no symbol of an element" in call('query catastrophes --element Lithium').output
    assert call('query catastrophes --bound hot').exit_code == 2
    output = call('query catastrophes --element Na --bound low').output
    assert "No MD has met a catastrophic point with Na of the kind 'low'." in output
    assert call('query catastrophes --element Li -f json').output.startswith('[')
