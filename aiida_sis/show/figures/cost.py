"""What the run cost, and what it gained by it."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from aiida_sis.run.clock import union_length
from aiida_sis.run.trajectories import Details
from aiida_sis.show.figures.style import NothingToShowError, legend_below, new_figure, series_colour
from aiida_sis.show.tabular import Table

__all__ = ('KINDS', 'cost_table', 'draw_cost', 'gain_table')

#: The kinds of job, each the work of one code.
KINDS = {
    'AIMD': 'Labels (CP2K)',
    'training': 'Training (DeePMD-kit)',
    'MD': 'MD (LAMMPS)',
    'verification': 'Labels of the stable MD (CP2K)',
}


def cost_table(details: Details) -> Table:
    """Return wall and core seconds of each generation by kind of job.

    Wall seconds count jobs side by side once; core seconds are wall time times the cores of each job.

    :param details: of a run.
    """
    rows = []
    for generation in sorted({job.generation for job in details.jobs}):
        for kind in KINDS:
            jobs = [job for job in details.jobs if (job.generation, job.kind) == (generation, kind)]
            if jobs:
                wall = union_length([(job.start, job.start + job.seconds) for job in jobs])
                rows.append((generation, kind, len(jobs), wall, sum(job.seconds * job.cores for job in jobs)))
    return Table(('generation', 'kind', 'jobs', 'wall_seconds', 'core_seconds'), tuple(rows))


def gain_table(details: Details) -> Table:
    """Return what each generation added to the stable time and what one more stable ps cost.

    :param details: of a run.
    """
    rows, before = [], 0.0
    for generation in details.run.generations:
        lengths = generation.stable_ps
        seconds = sum(job.seconds * job.cores for job in details.jobs if job.generation == generation.generation)
        if not lengths:
            continue
        now = min(lengths.values())
        gain = now - before
        frames = generation.n_frames + generation.n_stable_frames
        per_ps = (frames / gain, seconds / gain) if gain > 0 else (None, None)
        rows.append((generation.generation, frames, seconds, now, gain, *per_ps))
        before = max(before, now)
    headers = (
        'generation',
        'new_frames',
        'core_seconds',
        'stable_ps',
        'gained_ps',
        'frames_per_ps',
        'core_seconds_per_ps',
    )
    return Table(headers, tuple(rows))


def draw_cost(details: Details, width: float) -> Figure:
    """Draw the core time of each generation by code.

    :param details: of a run.
    :param width: inches.
    :raises NothingToShowError: where no job has reported its clock.
    """
    if not details.jobs:
        raise NothingToShowError('No job has reported its clock yet.')
    numbers = sorted({job.generation for job in details.jobs})
    totals = {
        kind: np.array(
            [sum(j.seconds * j.cores for j in details.jobs if (j.generation, j.kind) == (n, kind)) for n in numbers]
        )
        for kind in KINDS
    }
    largest = float(sum(totals.values()).max())  # type: ignore[union-attr]
    units = (('hours', 3600.0), ('minutes', 60.0), ('seconds', 1.0))
    unit, size = next((name, length) for name, length in units if largest >= 2 * length or length == 1.0)
    figure, (axis,) = new_figure(width, 1, 1.0 + 0.42 * len(numbers))
    left = np.zeros(len(numbers))
    for index, kind in enumerate(KINDS):
        values = totals[kind] / size
        axis.barh(range(len(numbers)), values, left=left, height=0.62, color=series_colour(index))
        left += values
    for height, value in enumerate(left):
        axis.annotate(
            f'{value:.3g}', (value, height), xytext=(5, 0), textcoords='offset points', va='center', fontsize=8
        )
    axis.set_yticks(range(len(numbers)), [f'generation {n}' for n in numbers])
    axis.invert_yaxis()
    axis.margins(x=0.1)
    axis.set_xlim(left=0)
    axis.grid(False)
    axis.xaxis.grid(True)
    axis.set_xlabel(f'Core {unit}')
    handles = [Patch(color=series_colour(index), label=label) for index, label in enumerate(KINDS.values())]
    legend_below(figure, handles, 1 if width < 5 else 3)
    return figure
