"""What an analysis found, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.table import Table

from aiida_sis.core.analysis.analyse import Analysis
from aiida_sis.core.analysis.species import Cluster
from aiida_sis.core.analysis.summary import bond_counts, coordinations, unconfirmed_bonds
from aiida_sis.core.analysis.transport import ANGSTROM2_PER_PS_TO_CM2_PER_S

__all__ = ('analysis_view', 'in_time')

_MOST_ROWS = 12
_MOST_WAITING = 3
#: Fewer neighbours than this are no shell worth a line; --csv writes them.
_FEWEST = 0.02


def analysis_view(analysis: Analysis, rows: int = _MOST_ROWS) -> Iterator[RenderableType]:
    """Give the tables of an analysis, each fit for 80 columns.

    :param analysis: of a trajectory.
    :param rows: longest list of events and clusters; the rest is counted.
    """
    times = analysis.times_fs
    step = f', {in_time(float(times[1] - times[0]))} apart' if len(times) > 1 else ''
    n_atoms = len(analysis.history.symbols)
    yield f'{analysis.name}: {len(times)} frames of {n_atoms} atoms, {_span(times[0], times[-1])}{step}'
    yield _molecules(analysis)
    if bond_counts(analysis):
        yield _bonds(analysis)
    yield from _events(analysis, rows)
    yield from _clusters(analysis, rows)
    shells = [one for one in coordinations(analysis.rdfs) if one.number >= _FEWEST]
    if shells:
        table = _table('Coordination', 'Around', 'Neighbour', 'Peak (Å)', 'Minimum (Å)', 'Number')
        for one in shells[: max(rows, 1)]:
            table.add_row(one.centre, one.other, f'{one.peak:.2f}', f'{one.minimum:.2f}', f'{one.number:.2f}')
        yield table
    yield from _diffusion(analysis)


def in_time(value_fs: float) -> str:
    """Write a time with the unit that suits it.

    :param value_fs: fs.
    """
    return f'{value_fs / 1000:.4g} ps' if abs(value_fs) >= 1000 else f'{value_fs:.4g} fs'


def _span(first_fs: float, last_fs: float) -> str:
    if abs(last_fs) >= 1000:
        return f'{first_fs / 1000:.4g} to {last_fs / 1000:.4g} ps'
    return f'{first_fs:.4g} to {last_fs:.4g} fs'


def _table(title: str, *headers: str, texts: Sequence[int] = (0, 1)) -> Table:
    table = Table(title=title, title_justify='left', title_style='bold', box=box.SIMPLE_HEAD, pad_edge=False)
    for number, header in enumerate(headers):
        table.add_column(header, justify='left' if number in texts else 'right')
    return table


def _molecules(analysis: Analysis) -> Table:
    table = _table('Molecules', 'Species', 'Start', 'End', 'Least', 'Most', texts=(0,))
    salts = analysis.salts
    for name, column in zip(salts.names, salts.counts.T, strict=True):
        values = (column[0], column[-1], column.min(), column.max())
        table.add_row(name, *(str(value) for value in values), style='' if column[0] == column[-1] else 'bold')
    return table


def _bonds(analysis: Analysis) -> Table:
    table = _table('Bonds', 'Bond', 'Start', 'End', 'Broken', 'Formed', texts=(0,))
    for one in bond_counts(analysis):
        values = (one.start, one.end, one.broken, one.formed)
        table.add_row(one.pair, *(str(value) for value in values), style='bold' if one.broken or one.formed else '')
    return table


def _events(analysis: Analysis, rows: int) -> Iterator[RenderableType]:
    history = analysis.history
    persistence = in_time(analysis.settings.persistence_fs)
    if not history.events:
        yield f'No bond broke or formed for {persistence} or longer.'
    else:
        table = _table('Events', 'Time', 'What', 'Bond', 'Atoms', 'Molecules of the start', texts=(1, 2, 3, 4))
        for event in history.events[:rows]:
            table.add_row(in_time(event.time_fs), event.change, event.pair, f'{event.i}, {event.j}', event.molecule)
        yield table
        if len(history.events) > rows:
            yield f'… and {len(history.events) - rows} more; --csv writes all.'
        for molecule, order in list(history.first_broken().items())[:rows]:
            if len(order) > 1:
                steps = ', then '.join(f'{pair} at {in_time(time)}' for pair, time in order.items())
                yield f'{molecule}: {steps}.'
    waiting = unconfirmed_bonds(analysis)
    for event in waiting[:_MOST_WAITING]:
        yield (
            f'Not counted: {event.pair} ({event.i}, {event.j}) {event.change} at {in_time(event.time_fs)}, less than '
            f'{persistence} before the end.'
        )
    if len(waiting) > _MOST_WAITING:
        yield f'Not counted for the same reason: {len(waiting) - _MOST_WAITING} more.'


def _clusters(analysis: Analysis, rows: int) -> Iterator[RenderableType]:
    clusters = analysis.aggregates.clusters
    if not clusters:
        return
    table = _table('Clusters of LiF', 'Largest', 'From', 'To', 'Lifetime', texts=(0,))
    longest: list[Cluster] = sorted(clusters, key=lambda one: -one.lifetime_fs)
    for one in longest[:rows]:
        begin = 'the start' if one.from_start else in_time(one.born_fs)
        end = 'the end' if one.died_fs is None else in_time(one.died_fs)
        bound = '≥ ' if one.from_start or one.died_fs is None else ''
        table.add_row(one.formula, begin, end, bound + in_time(one.lifetime_fs))
    yield table
    if len(clusters) > rows:
        yield f'… and {len(clusters) - rows} more; --csv writes all.'


def _diffusion(analysis: Analysis) -> Iterator[RenderableType]:
    """Coefficients of the kinds that diffuse, and a word about the others."""
    found = analysis.diffusion
    if not found:
        yield 'Diffusion: too few frames, or frames that are not equally far in time.'
        return
    first = next(iter(found.values()))
    window = f'fitted from {first.fit_ps[0]:.3g} to {first.fit_ps[1]:.3g} ps in {first.n_blocks} blocks'
    moving = {kind: one for kind, one in found.items() if one.is_diffusive}
    still = {kind: one for kind, one in found.items() if not one.is_diffusive}
    if moving:
        table = _table('Diffusion', 'Kind', 'D (1e-5 cm²/s)', 'MSD grows as', texts=(0,))
        scale = ANGSTROM2_PER_PS_TO_CM2_PER_S * 1e5
        for kind, one in moving.items():
            table.add_row(kind, f'{one.value * scale:.3g} ± {one.error * scale:.2g}', f't^{one.exponent:.2f}')
        yield table
        yield f'Errors between the blocks; {window}.'
    if still:
        low, high = (f'{pick(one.exponent for one in still.values()):.2g}' for pick in (min, max))
        names = f'Of {", ".join(still)}, none' if moving else 'No kind'
        most = max(one.reached for one in still.values())
        yield (
            f'{names} diffuses in this time: the MSD grows as t^{low} to t^{high} and reaches {most:.2g} Å² at most '
            f'({window}).'
        )
