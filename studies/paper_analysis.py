"""Analyse the DFT frames that the authors of the method published: structure, bonds, molecules, clusters of LiF.

Prints the tables of docs/analysis.md and draws its figures. Each generation is a piece of a trajectory of its own. Use:
`python studies/paper_analysis.py DIR --images studies/images`, DIR with electrolyte-1M, interface-1M, interface-10M.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from aiida_sis.core.analysis.analyse import Analysis, AnalysisSettings, analyse
from aiida_sis.core.analysis.neighbours import NeighbourSearch
from aiida_sis.core.analysis.rdf import rdf_difference
from aiida_sis.core.analysis.rules import BondRules, pair_name
from aiida_sis.core.analysis.summary import bond_counts
from aiida_sis.core.analysis.trajectory import Trajectory, open_trajectory
from aiida_sis.show.figures.style import MUTED, STYLE, new_figure, series_colour

ELECTROLYTE = [f'electrolyte-1M/gen{number}' for number in (1, 2, 3, 4)]
INTERFACES = ['interface-1M/gen3', 'interface-1M/gen4', 'interface-10M/gen1', 'interface-10M/gen2']
#: Bonds of whole molecules: of each LiFSI and of each DOL.
WHOLE = {'N–S': (2, 0), 'S–F': (2, 0), 'S–O': (4, 0), 'C–O': (0, 4), 'C–C': (0, 1), 'C–H': (0, 6)}
MOLECULES = {'electrolyte-1M': (1, 21), 'interface-1M': (1, 13), 'interface-10M': (10, 3)}


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table of Markdown.

    :param headers: of the columns.
    :param rows: their values.
    """
    print('| ' + ' | '.join(headers) + ' |')
    print('|' + '---|' * len(headers))
    for row in rows:
        print('| ' + ' | '.join(str(value) for value in row) + ' |')
    print()


def electrolyte(found: dict[str, Analysis]) -> None:
    """Print what surrounds the Li of the electrolyte.

    :param found: analysis of each piece.
    """
    reference = found[ELECTROLYTE[0]].rdfs.of('Li', 'O(DOL)')
    rows = []
    for name in ELECTROLYTE:
        rdfs = found[name].rdfs
        shell = rdfs.first_shell('Li', 'O(DOL)')
        assert shell is not None
        numbers = [rdfs.coordination_number('Li', kind, 2.7) for kind in ('O(DOL)', 'O(FSI)', 'F(FSI)')]
        apart = rdf_difference(rdfs.of('Li', 'O(DOL)'), reference)
        rows.append((name, f'{shell[0]:.2f}', f'{shell[1]:.2f}', *(f'{n:.2f}' for n in numbers), f'{apart:.0%}'))
    headers = ('', 'peak, Å', 'minimum, Å', 'O(DOL)', 'O(FSI)', 'F(FSI)', 'g(r) apart from gen1')
    table(headers, rows)


def bonds(found: dict[str, Analysis]) -> None:
    """Print how many of the bonds of whole molecules are left.

    :param found: analysis of each piece.
    """
    rows = []
    for name, analysis in found.items():
        n_lifsi, n_dol = MOLECULES[name.split('/')[0]]
        counts = {one.pair: one for one in bond_counts(analysis)}
        cells = []
        for pair, (per_lifsi, per_dol) in WHOLE.items():
            start = counts[pair].start if pair in counts else 0
            end = counts[pair].end if pair in counts else 0
            left = str(start) if start == end else f'{start} → {end}'
            cells.append(f'{left} of {per_lifsi * n_lifsi + per_dol * n_dol}')
        rows.append((name, *cells, len(analysis.history.events)))
    table(('', *WHOLE, 'events'), rows)
    for name, analysis in found.items():
        for event in analysis.history.events:
            print(
                f'{name}: {event.pair} ({event.i}, {event.j}) {event.change} at {event.time_fs:g} fs, {event.molecule}'
            )
        for event in analysis.history.unconfirmed:
            if not event.pair.startswith('Li'):
                print(f'{name}: unconfirmed {event.pair} {event.change} at {event.time_fs:g} fs')
    print()


def species(found: dict[str, Analysis]) -> None:
    """Print the census and the clusters of LiF of the interfaces.

    :param found: analysis of each piece.
    """
    for name in INTERFACES:
        salts, clusters = found[name].salts, found[name].aggregates
        shown = {k: v for k, v in salts.at(-1).items() if not k.startswith('Li (')}
        changed = {k: v for k, v in salts.at(0).items() if salts.at(-1).get(k) != v}
        print(f'{name}: {shown}; changed from {changed}; bound Li {salts.at(-1).get("Li (in contact)")}')
        free = [f'{formula} × {n}' for formula, n in clusters.at(-1).items()]
        lives = [
            f'{one.formula} {one.born_fs:g}–{"end" if one.died_fs is None else one.died_fs}'
            for one in clusters.clusters
        ]
        print(f'  clusters at the end: {", ".join(free)}; followed: {", ".join(lives) or "none"}')
        contacts = found[name].rdfs
        for kind in ('F', 'O', 'S', 'N', 'O(DOL)'):
            if kind in contacts.counts:
                number = contacts.coordination_number(kind, 'Li', {'S': 3.1}.get(kind, 2.7))
                print(f'  Li around {kind}: {number:.2f}')


def draw_electrolyte(found: dict[str, Analysis], path: Path) -> None:
    """Draw g(r) and the number of neighbours of Li.

    :param found: analysis of each piece.
    :param path: the picture.
    """
    figure, (left, right) = new_figure(8.6, 2, 3.1, 2)
    with mpl.rc_context(STYLE):
        pieces = [found[name].rdfs for name in ELECTROLYTE]
        r = pieces[0].r
        for number, rdfs in enumerate(pieces):
            left.plot(r, rdfs.of('Li', 'O(DOL)'), lw=0.9, color=series_colour(number), label=f'generation {number + 1}')
        for number, (kind, text) in enumerate(
            {'O(DOL)': 'O of DOL', 'O(FSI)': 'O of FSI', 'F(FSI)': 'F of FSI'}.items()
        ):
            curves = np.array([rdfs.coordination('Li', kind) for rdfs in pieces])
            colour = series_colour(number)
            right.fill_between(r, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.25, lw=0)
            right.plot(r, curves.mean(axis=0), lw=1.6, color=colour, label=text)
        left.set_title('Li–O(DOL)')
        left.set_ylabel('g(r)')
        right.set_title('Neighbours of Li')
        right.set_ylabel('number up to r')
        right.set_ylim(0, 6)
        for axis in (left, right):
            axis.set_xlabel('r (Å)')
            axis.set_xlim(1.5, 6.0 if axis is left else 5.0)
            axis.legend()
        left.set_ylim(bottom=0)
    figure.savefig(path, dpi=180)


def lengths(trajectory: Trajectory, pairs: Sequence[str], edges: np.ndarray, stride: int) -> dict[str, np.ndarray]:
    """Count the distances of some pairs of elements.

    :param trajectory: the frames.
    :param pairs: such as ``S–F``.
    :param edges: of the bins, Å.
    :param stride: every n-th frame.
    :returns: mean number of pairs in each bin of a frame.
    """
    search, total, n_frames = NeighbourSearch(float(edges[-1])), {pair: np.zeros(len(edges) - 1) for pair in pairs}, 0
    symbols = np.array(trajectory.symbols)
    for positions, cell in list(trajectory.read())[::stride]:
        first, second, distance = search.pairs(positions, cell)
        for pair in pairs:
            one, other = pair.split('–')
            wanted = ((symbols[first] == one) & (symbols[second] == other)) | (
                (symbols[first] == other) & (symbols[second] == one)
            )
            total[pair] += np.histogram(distance[wanted], edges)[0]
        n_frames += 1
    return {pair: values / n_frames for pair, values in total.items()}


def draw_bonds(data: Path, path: Path) -> None:
    """Draw the distances of the pairs that make bonds, with the limits at which they form and break.

    :param data: the folder of the frames.
    :param path: the picture.
    """
    pairs, edges = ('N–S', 'S–F', 'C–O'), np.arange(1.2, 4.41, 0.04)
    middle = (edges[:-1] + edges[1:]) / 2
    figure, axes = new_figure(8.6, 3, 2.9, 3)
    rules = BondRules()
    with mpl.rc_context(STYLE):
        for number, name in enumerate(('electrolyte-1M/gen1', 'interface-1M/gen4', 'interface-10M/gen2')):
            found = lengths(open_trajectory(data / name, 1.0), pairs, edges, 5)
            for axis, pair in zip(axes, pairs, strict=True):
                axis.step(middle, found[pair] / 0.04, where='mid', lw=1.2, color=series_colour(number),
                          label=_title(name).split(',')[0])  # fmt: skip
        for axis, pair in zip(axes, pairs, strict=True):
            cutoff = rules.covalent[pair_name(*pair.split('–'))]
            axis.axvspan(rules.form * cutoff, rules.break_ * cutoff, color=MUTED, alpha=0.18, lw=0)
            axis.set_title(pair)
            axis.set_yscale('log')
            axis.set_ylim(0.02, 3000)
            axis.set_xlabel('distance (Å)')
        axes[0].set_ylabel('pairs per Å and frame')
        axes[1].legend(loc='upper right')
    figure.savefig(path, dpi=180)


def draw_interfaces(found: dict[str, Analysis], path: Path) -> None:
    """Draw the densities across the slab, by element and origin.

    :param found: analysis of each piece.
    :param path: the picture.
    """
    groups = {
        'Li': lambda kind: kind == 'Li',
        'C of DOL': lambda kind: kind == 'C(DOL)',
        'F': lambda kind: kind == 'F',
        'S': lambda kind: kind.split('(')[0] == 'S',
        'N': lambda kind: kind.split('(')[0] == 'N',
    }
    figure, axes = new_figure(8.6, 2, 3.1, 2)
    with mpl.rc_context(STYLE):
        for axis, name in zip(axes, ('interface-1M/gen4', 'interface-10M/gen2'), strict=True):
            profile = found[name].density
            assert profile is not None
            for number, (label, belongs) in enumerate(groups.items()):
                density = sum(
                    (profile.density[kind] for kind in profile.density if belongs(kind)), np.zeros(len(profile.z))
                )
                axis.plot(
                    profile.z, density, lw=1.5 if label == 'Li' else 1.2, color=series_colour(number), label=label
                )
            axis.set_title(_title(name))
            axis.set_xlabel('z (Å)')
            axis.set_ylim(0, 1.25 * max(line.get_ydata().max() for line in axis.lines))
        axes[0].set_ylabel('atoms per Å³')
        axes[0].legend(ncols=3, loc='upper right')
    figure.savefig(path, dpi=180)


def _title(name: str) -> str:
    """Give the name of a piece for people."""
    system, generation = name.split('/')
    kind, molar = system.split('-')
    return f'{molar.replace("M", " M")} {kind}, generation {generation.removeprefix("gen")}'


def main() -> None:
    """Analyse every piece, print the tables, draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('--images', type=Path, default=Path('studies/images'))
    arguments = parser.parse_args()
    settings = AnalysisSettings(density_axis=2, density_bin_width=0.5, diffusion=())
    found = {name: analyse(open_trajectory(arguments.data / name), settings) for name in (*ELECTROLYTE, *INTERFACES)}
    electrolyte(found)
    bonds(found)
    species(found)
    draw_electrolyte(found, arguments.images / 'analysis_electrolyte.png')
    draw_bonds(arguments.data, arguments.images / 'analysis_bonds.png')
    draw_interfaces(found, arguments.images / 'analysis_interfaces.png')


if __name__ == '__main__':
    main()
