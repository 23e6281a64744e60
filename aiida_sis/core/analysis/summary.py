"""An analysis in plain values: what a database keeps, and tables that any program reads."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiida_sis.core.analysis.analyse import Analysis
from aiida_sis.core.analysis.bonds import BondEvent
from aiida_sis.core.analysis.rdf import Rdfs
from aiida_sis.core.analysis.rules import METALS, pair_name
from aiida_sis.core.analysis.transport import ANGSTROM2_PER_PS_TO_CM2_PER_S

#: Elements that hold a metal ion.
_DONORS = ('N', 'O', 'F', 'S', 'Cl', 'Br', 'I', 'P')
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Coordination:
    """The first shell of one kind around another.

    :param centre: kind in the middle, a metal.
    :param other: kind around it.
    :param peak: first peak of g(r), Å.
    :param minimum: the minimum behind it, Å.
    :param number: mean number of neighbours up to the minimum.
    """

    centre: str
    other: str
    peak: float
    minimum: float
    number: float


@dataclass(frozen=True)
class BondCount:
    """What became of the bonds of one pair of elements.

    :param pair: such as ``S–F``.
    :param start: number in the first frame.
    :param end: number in the last frame.
    :param broken: events.
    :param formed: events.
    """

    pair: str
    start: int
    end: int
    broken: int
    formed: int


def coordinations(rdfs: Rdfs) -> list[Coordination]:
    """Find the first shells of the metals, those with most neighbours first.

    :param rdfs: of all pairs of kinds.
    """
    found = []
    for first, second in rdfs.pairs:
        for centre, other in ((first, second), (second, first)):
            if centre not in METALS or other.split('(')[0] not in _DONORS:
                continue
            shell = rdfs.first_shell(centre, other)
            if shell is not None:
                number = rdfs.coordination_number(centre, other, shell[1])
                found.append(Coordination(centre, other, *shell, number))
    return sorted(found, key=lambda one: -one.number)


def bond_counts(analysis: Analysis) -> list[BondCount]:
    """Count bonds by pair of elements at both ends, with the events between them.

    :param analysis: of a trajectory.
    """
    history = analysis.history

    def count(pairs: Iterable[Iterable[int]]) -> Counter[str]:
        return Counter(pair_name(*(history.symbols[k] for k in pair)) for pair in pairs)

    start, end = count(history.initial_bonds), count(history.bonds_at(len(history.times_fs) - 1))
    changes = Counter((event.pair, event.change) for event in history.events)
    pairs = sorted({*start, *end, *(pair for pair, _ in changes)})
    return [BondCount(p, start[p], end[p], changes[p, 'broken'], changes[p, 'formed']) for p in pairs]


def unconfirmed_bonds(analysis: Analysis) -> list[BondEvent]:
    """Give the changes of bonds, not of contacts of metals, that had not lasted long enough when the trajectory ended.

    :param analysis: of a trajectory.
    """
    metals, symbols = set(analysis.settings.rules.metals), analysis.history.symbols
    return [event for event in analysis.history.unconfirmed if not {symbols[event.i], symbols[event.j]} & metals]


def facts(analysis: Analysis) -> dict[str, Any]:
    """Say in plain values what was found; arrays are left to :func:`tables`.

    :param analysis: of a trajectory.
    :returns: times in fs, distances in Å, diffusion coefficients in Å²/ps.
    """
    history = analysis.history
    return {
        'n_frames': len(analysis.times_fs),
        'n_atoms': len(history.symbols),
        'time_fs': [float(analysis.times_fs[0]), float(analysis.times_fs[-1])],
        'kinds': analysis.rdfs.counts,
        'molecules': {'start': analysis.census.at(0), 'end': analysis.census.at(-1)},
        'salts': {'start': analysis.salts.at(0), 'end': analysis.salts.at(-1)},
        'bonds': [asdict(one) for one in bond_counts(analysis)],
        'bond_events': [asdict(event) for event in history.events],
        'unconfirmed_events': [asdict(event) for event in unconfirmed_bonds(analysis)],
        'first_broken': history.first_broken(),
        'lif_clusters': {
            'start': analysis.aggregates.at(0),
            'end': analysis.aggregates.at(-1),
            'followed': [asdict(one) | {'anions': list(one.anions)} for one in analysis.aggregates.clusters],
        },
        'coordination': [asdict(one) for one in coordinations(analysis.rdfs)],
        'diffusion': {
            kind: asdict(one) | {'fit_ps': list(one.fit_ps), 'is_diffusive': one.is_diffusive}
            for kind, one in analysis.diffusion.items()
        },
        'settings': analysis.settings.model_dump(mode='json'),
    }


def tables(analysis: Analysis) -> Iterator[tuple[str, list[str], list[Row]]]:
    """Give every number of an analysis as tables.

    :param analysis: of a trajectory.
    :returns: name, names of the columns with units, and rows of each table.
    """
    rdfs, history = analysis.rdfs, analysis.history
    pairs = ['-'.join(pair) for pair in rdfs.pairs]
    yield 'rdf', ['r_angstrom', *pairs], list(zip(rdfs.r, *rdfs.g.values(), strict=True))
    shells = [tuple(asdict(one).values()) for one in coordinations(rdfs)]
    yield 'coordination', ['centre', 'other', 'peak_angstrom', 'minimum_angstrom', 'number'], shells
    names = ['time_fs', 'frame', 'change', 'i', 'j', 'pair', 'molecule']
    for name, events in (('bond_events', history.events), ('contact_events', history.contact_events)):
        yield name, names, [tuple(asdict(event).values()) for event in events]
    counts = [tuple(asdict(one).values()) for one in bond_counts(analysis)]
    yield 'bonds', ['pair', 'start', 'end', 'broken', 'formed'], counts
    for name, census in (('molecules', analysis.census), ('salts', analysis.salts)):
        columns = list(zip(census.times_fs, *census.counts.T, strict=True))
        yield name, ['time_fs', *census.names], columns
    clusters = [
        (one.formula, ' '.join(map(str, one.anions)), one.born_fs, one.died_fs, one.lifetime_fs, one.from_start)
        for one in analysis.aggregates.clusters
    ]
    yield 'lif_clusters', ['formula', 'anions', 'born_fs', 'died_fs', 'lifetime_fs', 'from_start'], clusters
    if analysis.msd:
        yield 'msd', ['lag_fs', *analysis.msd], list(zip(analysis.lags_fs, *analysis.msd.values(), strict=True))
    diffusion = [
        (kind, *(ANGSTROM2_PER_PS_TO_CM2_PER_S * v for v in (one.value, one.error)), one.exponent, *one.fit_ps)
        for kind, one in analysis.diffusion.items()
    ]
    if diffusion:
        yield 'diffusion', ['kind', 'd_cm2_per_s', 'error', 'exponent', 'fit_from_ps', 'fit_to_ps'], diffusion
    if analysis.density is not None:
        profile = analysis.density
        rows = list(zip(profile.z, *profile.density.values(), strict=True))
        yield 'density', ['z_angstrom', *profile.density], rows


def write_csv(analysis: Analysis, folder: Path) -> list[Path]:
    """Write every table as a CSV file.

    :param analysis: of a trajectory.
    :param folder: made if it is not there.
    :returns: the files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, columns, rows in tables(analysis):
        path = folder / f'{name}.csv'
        with path.open('w', newline='', encoding='utf-8') as handle:
            writer = csv.writer(handle)
            writer.writerow(columns)
            writer.writerows([f'{v:.6g}' if isinstance(v, float) else v for v in row] for row in rows)
        written.append(path)
    return written
