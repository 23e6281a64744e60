"""The report of a run as one HTML file that needs nothing else: figures, style and viewer are inside."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from aiida_sis import __version__
from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures.catalogue import FIGURES, FigureSpec
from aiida_sis.show.figures.style import NARROW, WIDE, NothingToShowError, to_svg
from aiida_sis.show.page.scenes import make_scenes
from aiida_sis.show.page.sentences import headline, key_figures, sentences, verdict_kind
from aiida_sis.show.tables import format_label
from aiida_sis.show.tabular import Table, csv_text, number

__all__ = ('ELEMENT_COLOURS', 'make_page')

#: Chapters of the page and the figures in each.
CHAPTERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ('went', 'How it went', ('temperature', 'zoom', 'ladders', 'growth')),
    ('learnt', 'How well it learnt', ('verification', 'learning', 'parity', 'elements', 'forgetting')),
    ('moved', 'What moved', ('rdf', 'reactions', 'census')),
)
#: Colours of elements in the viewer: the usual ones, strong enough on white and on black.
ELEMENT_COLOURS = {
    'H': '#b9c2cc', 'C': '#55606e', 'N': '#3b6fe0', 'O': '#e0362f', 'F': '#3aa655', 'S': '#d9a400', 'P': '#ef7d1a',
    'Cl': '#1f9d6b', 'Br': '#9c4b1f', 'I': '#7a2f9b', 'B': '#e39b8f', 'Li': '#9a5bd6', 'Na': '#7f5be0', 'K': '#8a4fc7',
    'Mg': '#5fae2b', 'Ca': '#4b9a3a', 'Al': '#9aa3b5', 'Si': '#c9a06a', 'Zn': '#7d84b8',
}  # fmt: skip
_OTHER_ELEMENT = '#d0589a'
#: A file larger than this is not put into the page; the command that writes it is named there instead.
_MOST_CSV = 300_000
_HEADINGS = {
    'generation': 'Generation', 'stage': 'Stage', 'replica': 'Replica', 'pk': 'PK', 't_cp_ps': 't_cp (ps)',
    'temperature_cp_k': 'T at t_cp (K)', 'bound': 'Edge crossed', 't_next_ps': 't_next (ps)',
    'labelled_frames': 'Labelled frames', 'aimd_ps': 'AIMD (ps)', 'force_rmse_ev_per_angstrom': 'Force error (eV/Å)',
    'shortest_ps': 'Shortest replica (ps)', 'longest_ps': 'Longest replica (ps)', 'dataset': 'Frames of',
    'best': 'Best', 'last': 'Last', 'new_frames': 'New frames', 'core_seconds': 'Core seconds',
    'stable_ps': 'Stable MD (ps)', 'gained_ps': 'Gained (ps)', 'frames_per_ps': 'Frames per ps gained',
    'label': 'Label', 'time_ps': 'Time (ps)', 'before_t_cp_fs': 'Before t_cp (fs)', 'state': 'It is',
    'largest_force_ev_per_angstrom': 'Largest force (eV/Å)',
    'core_seconds_per_ps': 'Core seconds per ps gained', 'trajectory': 'Trajectory', 'time_fs': 'Time (fs)',
    'change': 'Change', 'bond': 'Bond', 'atoms': 'Atoms', 'molecule': 'Molecule',
}  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """One figure of the page, or the sentence that stands in its place."""

    name: str
    title: str
    caption: str
    wide: Markup | None = None
    narrow: Markup | None = None
    sentence: str = ''
    table: Table | None = None
    csv: str = ''


def make_page(details: Details) -> str:
    """Return the report of a run as an HTML page.

    :param details: of the run.
    """
    record = details.run
    environment = Environment(
        loader=PackageLoader('aiida_sis.show.page', 'assets'), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {'number': number, 'label': format_label}
    environment.filters |= {'heading': _heading, 'marks': _marks, 'pretty': _pretty}
    scenes = [scene | {'note': _marks(scene['note'])} for scene in make_scenes(details)]
    elements = sorted({element for scene in scenes for element in scene['elements']})
    drawn = {name: _draw(name, spec, details) for name, spec in FIGURES.items()}
    return environment.get_template('page.html.j2').render(
        record=record,
        facts=details.facts,
        kind=verdict_kind(record),
        headline=headline(record),
        sentences=sentences(record),
        key_figures=key_figures(record),
        chapters=[(key, title, [drawn[name] for name in names]) for key, title, names in CHAPTERS],
        drawn=drawn,
        scenes=scenes,
        scenes_json=_json({'scenes': scenes, 'colours': {e: _colour(e) for e in elements}}),
        colours={element: _colour(element) for element in elements},
        made=datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        started=record.started.astimezone(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        version=__version__,
        css=Markup(_asset('page.css')),
        script=Markup(_asset('page.js')),
        library=Markup(_library() if scenes else ''),
    )


def _draw(name: str, spec: FigureSpec, details: Details) -> Drawn:
    """Draw a figure for both widths."""
    try:
        wide, narrow = (spec.figure(details, width) for width in (WIDE, NARROW))
    except NothingToShowError as missing:
        return Drawn(name, spec.title, spec.caption, sentence=str(missing))
    table = spec.shown(details) if spec.shown else None
    text = csv_text(spec.table(details))
    encoded = base64.b64encode(text.encode()).decode() if len(text) <= _MOST_CSV else ''
    return Drawn(
        name,
        spec.title,
        spec.caption,
        Markup(to_svg(wide, f'{name}-w', spec.title)),
        Markup(to_svg(narrow, f'{name}-n', spec.title)),
        table=table if table is not None and table.rows else None,
        csv=encoded,
    )


def _heading(name: str) -> str:
    """Write the name of a column for people."""
    if name.startswith('generation_'):
        return f'Generation {name.removeprefix("generation_")}'
    return _HEADINGS.get(name, name.replace('_', ' '))


def _marks(text: str) -> Markup:
    """Set t_cp, t_next and what stands between backticks as they are printed, and keep numbers with their units."""
    safe = re.sub(r'\bt_(cp|next)\b', r'<i>t</i><sub>\1</sub>', str(escape(text)))
    safe = re.sub(r'(\d) (?=(?:fs|ps|K|s|min|h|eV|meV|Å|%)\b|%)', '\\1\u00a0', safe)
    return Markup(re.sub(r'`([^`]*)`', r'<code>\1</code>', safe))


def _pretty(content: Any) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False)


def _colour(element: str) -> str:
    return ELEMENT_COLOURS.get(element, _OTHER_ELEMENT)


def _json(content: Any) -> Markup:
    """Write data into a script element, which only the sign < could end."""
    return Markup(json.dumps(content, separators=(',', ':'), ensure_ascii=False).replace('<', '\\u003c'))


def _asset(name: str) -> str:
    return (files('aiida_sis.show.page') / 'assets' / name).read_text(encoding='utf-8')


def _library() -> str:
    """Return the viewer's library, without the line that names its source map."""
    lines = _asset('3Dmol-min.js').splitlines()
    code = '\n'.join(line for line in lines if not line.startswith('//# sourceMappingURL'))
    return code.replace('</script', '<\\/script')
