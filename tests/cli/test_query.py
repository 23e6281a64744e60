"""``aiida-sis query`` as it is typed."""

from __future__ import annotations

import csv
import io
import json

import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from click.testing import CliRunner, Result

from aiida_sis.cli import main


def ask(*arguments: str) -> Result:
    """Ask the profile of the tests."""
    return CliRunner().invoke(main, ['query', *arguments, '-p', str(get_config().default_profile_name)])


@pytest.mark.parametrize('question', ['runs', 'catastrophes', 'models', 'cost'])
def test_formats_agree(example_run: orm.WorkChainNode, question: str) -> None:
    """JSON and CSV hold the same rows, and nothing else is on standard output."""
    rows = json.loads(ask(question, '-f', 'json').stdout)
    lines = list(csv.DictReader(io.StringIO(ask(question, '-f', 'csv').stdout)))
    assert len(rows) == len(lines) > 0
    for row, line in zip(rows, lines, strict=True):
        for key, value in row.items():
            if isinstance(value, dict):
                assert line[f'{key}_uuid'] == value['uuid']
                assert line[f'{key}_pk'] == str(value['pk'])
            elif isinstance(value, int | float):
                assert float(line[key]) == value
    table = ask(question)
    assert table.exit_code == 0
    assert str(rows[0]['run']['pk']) in table.stdout


def test_a_uuid_is_as_good_as_a_pk(example_run: orm.WorkChainNode) -> None:
    """A run, a potential and a training name the same frames."""
    potential = example_run.outputs.potential
    answers = {
        ask('frames', str(name), '-f', 'json').stdout
        for name in (example_run.pk, example_run.uuid, example_run.uuid[:8], potential.pk, potential.creator.uuid)
    }
    assert len(answers) == 1
    assert len(json.loads(answers.pop())) == 4
    assert (
        ask('origin', example_run.uuid, '-f', 'json').stdout == ask('origin', str(example_run.pk), '-f', 'json').stdout
    )


def test_filters_and_limit(example_run: orm.WorkChainNode) -> None:
    """Filters leave rows out; what a limit hides is said on standard error."""
    assert len(json.loads(ask('catastrophes', '--element', 'Li', '-f', 'json').stdout)) == 2
    assert json.loads(ask('catastrophes', '--element', 'Na', '-f', 'json').stdout) == []
    assert "'L' is no symbol of an element" in ask('catastrophes', '--element', 'L').stderr
    assert json.loads(ask('catastrophes', '--bound', 'low', '-f', 'json').stdout) == []
    limited = ask('models', '--limit', '1', '-f', 'json')
    assert len(json.loads(limited.stdout)) == 1
    assert '1 of 2 rows' in limited.stderr
    assert len(json.loads(ask('cost', '--by-generation', '--run', str(example_run.pk), '-f', 'json').stdout)) == 2


def test_a_narrow_terminal_gets_records(example_run: orm.WorkChainNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that doesn't fit is shown as one block for each row, with every value whole."""
    monkeypatch.setenv('FORCE_COLOR', '1')  # makes Rich take the output for a terminal
    monkeypatch.setenv('COLUMNS', '60')
    output = ask('origin', str(example_run.pk)).stdout
    assert 'MD with potential' in output
    assert output.count('explore_g0_s0_r1') == 1
    assert max(len(line) for line in output.splitlines()) < 80


def test_nothing_to_show(aiida_profile_clean) -> None:
    """An empty profile gives an empty answer and a sentence."""
    answer = ask('runs', '-f', 'json')
    assert json.loads(answer.stdout) == []
    assert 'There is no run' in answer.stderr
    assert ask('runs', '-f', 'csv').stdout.startswith('run_pk,run_uuid,label')
    assert 'below 0.1 eV/Å' in ask('models', '-b', '0.1').stderr


def test_wrong_nodes_are_named(aiida_profile_clean) -> None:
    """What was given, and what should have been."""
    pk = str(orm.Int(1).store().pk)
    for arguments, words in (
        (('frames', pk), 'Int without a potential'),
        (('origin', pk), 'give a dataset or a run'),
        (('uses', pk), 'is a Int, not a structure'),
        (('cost', '--run', pk), 'is a Int, not a run'),
        (('frames', '99999'), 'there is no node 99999'),
    ):
        result = ask(*arguments)
        assert result.exit_code == 2
        assert words in result.output
