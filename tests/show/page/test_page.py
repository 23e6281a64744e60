"""The page of a run: whole, self-contained and well-formed, for every state that a run can be in."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from plumpy import ProcessState

from aiida_sis.run.record import called
from aiida_sis.run.trajectories import read_details
from aiida_sis.show.figures.catalogue import FIGURES
from aiida_sis.show.figures.style import WIDE, new_figure, to_svg
from aiida_sis.show.page.page import make_page
from aiida_sis.show.page.scenes import make_scenes
from aiida_sis.show.tabular import Table, csv_text, number

CSS = (Path(__file__).parents[3] / 'aiida_sis/show/page/assets/page.css').read_text()


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or '' for name, value in attrs}))
        self._silent += tag in ('script', 'style')

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ('script', 'style')

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The words, with single spaces."""
        return ' '.join(' '.join(self.words).split())


def test_page_is_whole(full_page: Path) -> None:
    """Every figure is drawn for both widths, ids are unique, links inside the page lead somewhere, headings descend."""
    text = full_page.read_text()
    page = Page(text)
    ids = Counter(attributes['id'] for _, attributes in page.elements if 'id' in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    assert set(FIGURES) <= set(ids)
    drawings = re.findall(r'<svg.*?</svg>', text, re.DOTALL)
    assert len(drawings) == 2 * len(FIGURES)
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get('role') == 'img'
        assert root.get('aria-label')
        assert root.get('viewBox')
    for tag, attributes in page.elements:
        if tag == 'a' and attributes['href'].startswith('#'):
            assert attributes['href'][1:] in ids
        for name in ('aria-labelledby', 'aria-describedby'):
            assert attributes.get(name, '') in {'', *ids}
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch('h[1-6]', tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) == 1


def test_page_needs_nothing_else(full_page: Path) -> None:
    """Nothing is loaded from elsewhere; the links that leave the page are the citations."""
    assert full_page.stat().st_size < 5_000_000
    page = Page(full_page.read_text())
    for tag, attributes in page.elements:
        assert 'src' not in attributes
        target = attributes.get('href', attributes.get('xlink:href', ''))
        if tag == 'a':
            assert target.startswith(('#', 'data:', 'https://doi.org/'))
        elif target:
            assert target.startswith(('#', 'data:'))
    policy = next(a['content'] for tag, a in page.elements if a.get('http-equiv') == 'Content-Security-Policy')
    assert "default-src 'none'" in policy
    assert 'url(http' not in CSS


def test_page_says_what_matters(full_page: Path) -> None:
    """Verdict, figures of merit, seeds, versions and citation, in words."""
    text = Page(full_page.read_text()).text.replace('\u00a0', ' ')
    for words in (
        'Stable for 10 ps',
        'The potential of generation 1 carried the MD through the last stage, fine: 10 ps inside 50 to 800 K.',
        'It took 30 labelled frames, 0.03 ps of AIMD. The acceleration ratio, stable MD over labelled time, is 333.',
        'the force error of the last potential is 0.100 eV/Å',
        'One MD run left the window, at 0.12 ps',
        'The seed of the run is 7',
        'DeePMD-kit 3.2.0',
        'doi:10.1021/acs.jpcc.3c05522',
        'F₂LiNO₄S₂, 10 atoms',
        'S–F broken',
    ):
        assert words in text


@pytest.mark.parametrize(
    ('state', 'words'),
    [
        (ProcessState.WAITING, 'Still running, in generation 1'),
        (ProcessState.EXCEPTED, 'Ended before it was stable'),
    ],
)
def test_every_state(make_run, state: ProcessState, words: str) -> None:
    """A run that goes on or has failed gives what it has; for each missing figure there is a sentence."""
    page = Page(make_page(read_details(make_run(state, None))))
    assert words in page.text.replace('\u00a0', ' ')
    assert 'The training of generation 1 warns: sel of type 4 (Li) is not enough!' in page.text.replace('\u00a0', ' ')
    assert 'No training of this run has kept its predictions of single frames.' in page.text
    drawn = [tag for tag, _ in page.elements if tag == 'svg']
    missing = [a for _, a in page.elements if a.get('class') == 'missing' and a.get('id') != 'viewer-fallback']
    assert 0 < len(drawn) < 2 * len(FIGURES)
    assert len(drawn) / 2 + len(missing) == len(FIGURES) + 1  # and no structure to show


def test_run_that_was_not_stable(aiida_profile_clean) -> None:
    """The exit code and its message are the verdict."""
    run = orm.WorkChainNode()
    run.set_process_state(ProcessState.FINISHED)
    run.set_exit_status(401)
    run.set_exit_message('Not stable after 3 generations.')
    run.store()
    orm.Dict({'outcome': 'not stable', 'md_ps': 0.0}).store().base.links.add_incoming(run, LinkType.RETURN, 'summary')
    text = Page(make_page(read_details(run))).text
    assert 'Ended before it was stable' in text
    assert 'The run ended with exit code 401: Not stable after 3 generations.' in text


def test_run_that_has_just_begun(aiida_profile_clean) -> None:
    """Without a child there is a sentence for every figure and no viewer."""
    run = orm.WorkChainNode()
    run.set_process_state(ProcessState.CREATED)
    page = Page(make_page(read_details(run.store())))
    assert 'No MD has been run yet.' in page.text
    assert 'There is no structure to show.' in page.text
    assert [tag for tag, _ in page.elements if tag == 'svg'] == []
    assert sum(a.get('class') == 'missing' for _, a in page.elements) == len(FIGURES) + 1


def test_what_a_user_wrote_is_text(make_full_run) -> None:
    """A label that looks like HTML ends no script and makes no element."""
    text = make_page(read_details(make_full_run(label='</script><img src=x onerror=alert(1)>')))
    assert '</script><img' not in text
    assert 'img' not in {tag for tag, _ in Page(text).elements}
    assert '<img src=x onerror=alert(1)>' in Page(text).text


def test_numbers_of_figures(make_full_run) -> None:
    """Parity, cost and gain are what the run was made with: errors of 0.1 eV/Å and 2 meV/atom, two cores a job."""
    details = read_details(make_full_run())
    parity = details.parities[-1]
    assert parity.generation == 1
    np.testing.assert_allclose(parity.predicted_forces - parity.forces, 0.1)
    np.testing.assert_allclose(parity.predicted_energies - parity.energies, 0.002)
    assert Counter(parity.elements) == {'O': 72, 'S': 36, 'F': 36, 'N': 18, 'Li': 18}
    rows = {(row[0], row[1]): row[2:] for row in FIGURES['cost'].table(details).rows}
    assert rows == {
        (0, 'AIMD'): (1, 20.0, 40.0),
        (0, 'training'): (1, 40.0, 80.0),
        (1, 'AIMD'): (1, 20.0, 40.0),
        (1, 'training'): (1, 40.0, 80.0),
        (1, 'MD'): (1, 60.0, 120.0),
    }
    assert FIGURES['cost'].shown is not None
    first, second = FIGURES['cost'].shown(details).rows
    assert first == (0, 15, 120.0, 0.12, 0.12, pytest.approx(125.0), pytest.approx(1000.0))
    assert second[:4] == (1, 15, 240.0, 10.0)
    assert second[6] == pytest.approx(240.0 / 9.88)


def test_reaction_and_census(make_full_run) -> None:
    """The fluorine that was taken away is found, with its time, and the anion is another one afterwards."""
    details = read_details(make_full_run())
    (event,) = FIGURES['reactions'].table(details).rows
    assert event[:4] == ('generation 1, replica 0', 6000.0, 'broken', 'S–F')
    species = {row[1]: row[3] for row in FIGURES['census'].table(details).rows if 'replica' in row[0]}
    assert 'FNO4S2' in species or 'N(SO2)2F' in species
    titles = [scene['title'] for scene in make_scenes(details)]
    assert titles[0] == 'Start: ion_pair'
    assert any(title.startswith('t_next') for title in titles)
    assert any(title.startswith('S–F broken') for title in titles)


def test_training_without_predictions(make_full_run) -> None:
    """A training that kept none has a sentence in the place of its parity."""
    details = read_details(make_full_run(keep_predictions=False))
    assert details.parities == ()
    assert 'No training of this run has kept its predictions' in Page(make_page(details)).text


def test_order_of_an_imported_run(example_run: orm.WorkChainNode) -> None:
    """Generations and replicas come in their order, although an import deals out PKs in any."""
    pks = [child.pk for child, _ in called(example_run)]
    assert pks != sorted(pks), 'the archive must be one whose PKs tell nothing'
    details = read_details(example_run)
    assert list(details.curves) == [0, 1]
    assert [parity.generation for parity in details.parities] == [0, 1]
    assert set(details.parities[-1].datasets.tolist()) == {'g0_0', 'g0_1', 'g1_0', 'g1_1'}
    assert [(one.md.generation, one.md.replica) for one in details.catastrophes] == [(0, 0), (0, 1)]
    assert FIGURES['elements'].table(details).rows[-1][0] == 1


def test_svg_takes_its_colours_from_the_page(full_page: Path) -> None:
    """No colour of what is drawn is fixed, so that a dark page shows it; every name has a light and a dark value."""
    drawings = ''.join(re.findall(r'<svg.*?</svg>', full_page.read_text(), re.DOTALL))
    assert set(re.findall(r'(?:fill|stroke): (#[0-9a-f]{6})', drawings)) == set()
    used = set(re.findall(r'var\((--[a-z0-9]+)\)', drawings))
    assert {'--c0', '--muted', '--grid', '--window', '--cp', '--next'} <= used
    for variable in used:
        assert CSS.count(f'{variable}:') == 2, variable


def test_rounding_leaves_text_alone() -> None:
    """Coordinates are rounded for size; what is written in the figure is not."""
    figure, (axis,) = new_figure(WIDE, 1, 2.0)
    axis.set_title('error 0.08144 eV/Å')
    axis.plot([0.123456, 1], [0, 1])
    svg = to_svg(figure, 'x', 'label')
    assert 'error 0.08144 eV/Å' in svg
    assert not re.search(r'd="[^"]*\d\.\d{3}', svg)


def _luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize('theme', [0, 1], ids=['light', 'dark'])
def test_contrast(theme: int) -> None:
    """Text stands out by the 4.5 of WCAG AA, lines of figures by the 3 that it asks of graphics."""
    blocks = re.findall(r':root \{(.*?)\}', CSS, re.DOTALL)
    colours = dict(re.findall(r'--([a-z0-9]+): (#[0-9a-f]{6})', blocks[theme]))
    paper = _luminance(colours['paper'])

    def ratio(name: str, ground: float = paper) -> float:
        light, dark = sorted((_luminance(colours[name]), ground), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for name in ('ink', 'muted', 'accent', 'cp', 'next'):
        assert ratio(name) >= 4.5, name
        assert ratio(name, _luminance(colours['page'])) >= 4.5, name
    for name in ('c0', 'c3', 'c4', 'c5'):
        assert ratio(name) >= 3, name


def test_csv_and_numbers() -> None:
    """CSV for programs: six digits, empty where there is nothing; tables for people: three, a dash."""
    table = Table(('a', 'b, c'), ((1, 0.123456789), (None, 'x,y')))
    assert list(csv.reader(io.StringIO(csv_text(table)))) == [['a', 'b, c'], ['1', '0.123457'], ['', 'x,y']]
    assert [number(value) for value in (None, 0.0814421, 7968.25, 12, float('nan'), 'word')] == [
        '–', '0.0814', '7968', '12', '–', 'word',
    ]  # fmt: skip
