"""The commands `report` and `plot`, as they are typed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from aiida import orm
from aiida.manage.configuration import get_config
from click.testing import CliRunner, Result
from plumpy import ProcessState

from aiida_sis.cli import main
from aiida_sis.cli.cmd_plot import NAMES
from aiida_sis.show.figures.catalogue import FIGURES


def call(*arguments: str) -> Result:
    """Call a command on the profile of the tests."""
    return CliRunner().invoke(main, [*arguments, '-p', str(get_config().default_profile_name)])


def test_names_are_those_of_the_figures() -> None:
    """The command line knows the names without importing AiiDA; they must be the same."""
    assert tuple(FIGURES) == NAMES


def test_report_is_written_where_it_is_asked_for(make_run, tmp_path: Path) -> None:
    """One file, its name printed; a folder that is missing is made."""
    path = tmp_path / 'new' / 'page.html'
    result = call('report', str(make_run().pk), '-o', str(path))
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(path)
    assert path.read_text().startswith('<!doctype html>')
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ('state', 'exit_status', 'headline'),
    [
        (ProcessState.FINISHED, 0, 'Two cycles, 2.072 ps of MD'),
        (ProcessState.FINISHED, 402, 'Ended before its last cycle'),
        (ProcessState.WAITING, None, 'Still running, in generation 1'),
    ],
)
def test_report_and_figure_of_a_hybrid_run(
    make_hybrid_run, tmp_path: Path, state: ProcessState, exit_status: int | None, headline: str
) -> None:
    """The page of a run, in the words of a hybrid run."""
    pk, path = str(make_hybrid_run(state, exit_status).pk), tmp_path / 'page.html'
    result = call('report', pk, '-o', str(path))
    assert result.exit_code == 0, result.output
    page = path.read_text()
    assert f'<title>Hybrid run {pk}: {headline}</title>' in page
    assert 'Na₄' in page
    assert '<svg' in page[page.index('id="temperature"') :]
    result = call('plot', pk, '-o', str(tmp_path / 'figure.png'))
    assert result.exit_code == 0, result.output
    assert (tmp_path / 'figure.png').is_file()


def test_report_of_another_workchain(aiida_profile_clean) -> None:
    """A workchain that is no SIS run is refused in one sentence."""
    node = orm.WorkChainNode()
    node.set_process_label('LabelWorkChain')
    result = call('report', str(node.store().pk))
    assert result.exit_code == 2
    assert f'node {node.pk} is a LabelWorkChain, no run of the SIS loop' in result.output


def test_one_figure_and_its_numbers(make_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture in the format of its suffix; with --csv the numbers, by default in the working directory."""
    monkeypatch.chdir(tmp_path)
    pk = str(make_run().pk)
    result = call('plot', pk, '--figure', 'growth', '-o', 'growth.svg')
    assert result.exit_code == 0, result.output
    assert '<svg' in Path('growth.svg').read_text()
    assert call('plot', pk, '--csv').output.strip() == f'sis-{pk}-temperature.csv'
    rows = list(csv.DictReader(Path(f'sis-{pk}-temperature.csv').read_text().splitlines()))
    assert len(rows) == 4 * 401
    assert rows[0]['stage'] == 'coarse'
    assert float(rows[400]['time_ps']) == pytest.approx(0.12)
    assert float(rows[400]['temperature_k']) > 1000


def test_all_figures(make_run, tmp_path: Path) -> None:
    """Those that there are are written; the others are named with the reason."""
    folder = tmp_path / 'figures'
    result = call('plot', str(make_run().pk), '--figure', 'all', '-o', str(folder))
    assert result.exit_code == 0, result.output
    written = {path.stem for path in folder.iterdir()}
    assert {'temperature', 'zoom', 'growth'} <= written < set(NAMES)
    for name in set(NAMES) - written:
        assert f'{name}: ' in result.output
    assert all(path.read_bytes().startswith(b'\x89PNG') for path in folder.iterdir())


@pytest.mark.parametrize(
    ('arguments', 'code', 'words'),
    [
        (['--figure', 'parity'], 1, 'No training of this run has kept its predictions'),
        (['--figure', 'growth', '-o', 'growth.docx'], 2, 'docx'),
        (['--figure', 'nonesuch'], 2, "'nonesuch' is not one of 'temperature'"),
    ],
)
def test_what_cannot_be_drawn(
    make_run, tmp_path: Path, monkeypatch, arguments: list[str], code: int, words: str
) -> None:
    """One sentence, and no file."""
    monkeypatch.chdir(tmp_path)
    result = call('plot', str(make_run().pk), *arguments)
    assert result.exit_code == code
    assert words in result.output
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file(make_run, tmp_path: Path) -> None:
    """All figures need a folder."""
    path = tmp_path / 'file.png'
    path.write_text('')
    result = call('plot', str(make_run().pk), '--figure', 'all', '-o', str(path))
    assert result.exit_code == 2
    assert 'is a file; with `--figure all` give a folder' in result.output
