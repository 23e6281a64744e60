"""The stable MD against its teacher: the error of the forces along it, and its structure."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_sis.calculations.dataset import frames_of
from aiida_sis.calculations.trajectory_data import values_of
from aiida_sis.core.analysis.rdf import rdf_difference, rdfs
from aiida_sis.core.settings.rehearsal import RdfSettings
from aiida_sis.core.single_points import force_errors, match


@calcfunction
def compare_forces(trajectory: orm.TrajectoryData, labels: orm.TrajectoryData) -> dict[str, orm.Data]:
    """Compare the forces that drove an MD with those of the teacher on the same frames.

    :param trajectory: the MD: ``positions``, ``forces``, each (n_frames, n_atoms, 3), ``times``.
    :param labels: the same frames, labelled; frames may be missing.
    :returns: ``errors``: arrays ``time_ps`` and ``force_rmse`` (eV/Å), each (n_matched,); ``results``: the RMSE over
        all, the largest of a frame, and the number of frames compared.
    :raises ValueError: if a labelled frame is not in the MD.
    """
    teacher = frames_of(labels)
    matched = match(values_of(trajectory, 'positions'), teacher.coords)
    found = force_errors(values_of(trajectory, 'forces')[matched], teacher.forces)
    errors = orm.ArrayData({'time_ps': values_of(trajectory, 'times')[matched], 'force_rmse': found})
    facts = {
        'force_rmse_ev_per_angstrom': float(np.sqrt((found**2).mean())),
        'largest_force_rmse_ev_per_angstrom': float(found.max()),
        'n_frames': len(matched),
        'teacher_force_ev_per_angstrom': float(np.sqrt((teacher.forces**2).mean())),
    }
    return {'errors': errors, 'results': orm.Dict(facts)}


@calcfunction
def compare_structure(settings: orm.Dict, reference: orm.TrajectoryData, **runs: orm.TrajectoryData) -> dict[str, Any]:
    """Compare the radial distribution functions of MD runs with those of the teacher's own MD.

    :param settings: keys of :class:`aiida_sis.core.settings.rehearsal.RdfSettings`.
    :param reference: the teacher's MD; ``positions`` (n_frames, n_atoms, 3) and ``cells`` in Å.
    :param runs: the MD runs, with ``times`` in ps.
    :returns: ``rdf``: arrays ``r`` (Å), and ``<pair>_potential`` and ``<pair>_teacher``, each (n_bins,); ``results``:
        the difference for each pair, see :func:`aiida_sis.core.analysis.rdf.rdf_difference`.
    """
    options = RdfSettings.read(settings.get_dict(), 'settings')
    symbols = list(reference.symbols)
    sampled = [_thin(run, options.skip_ps, options.n_frames) for run in runs.values()]
    coords = np.concatenate([part[0] for part in sampled])
    cells = np.concatenate([part[1] for part in sampled])
    begin = int(options.reference_skip * reference.numsteps)
    chosen = np.unique(np.linspace(begin, reference.numsteps - 1, options.n_frames).astype(int))
    truth = values_of(reference, 'positions')[chosen], values_of(reference, 'cells')[chosen]
    of_potential = rdfs(zip(coords, cells, strict=True), symbols, options.r_max, options.n_bins)
    of_teacher = rdfs(zip(*truth, strict=True), symbols, options.r_max, options.n_bins)
    arrays, differences = orm.ArrayData(), {}
    arrays.set_array('r', of_potential.r)
    for pair in of_potential.pairs:
        name = '_'.join(pair)
        arrays.set_array(f'{name}_potential', of_potential.g[pair])
        arrays.set_array(f'{name}_teacher', of_teacher.g[pair])
        differences[name] = rdf_difference(of_potential.g[pair], of_teacher.g[pair])
    return {'rdf': arrays, 'results': orm.Dict({'rdf_difference': differences})}


@calcfunction
def merge_results(structure: orm.Dict, summary: orm.Dict, **forces: orm.Dict) -> orm.Dict:
    """Put the facts of a comparison into one node.

    :param structure: as :func:`compare_structure` gives them.
    :param summary: of the loop, with what its own verification said from a few of these frames.
    :param forces: by replica, as :func:`compare_forces` gives them.
    :returns: ``forces`` by replica, ``force_rmse_ev_per_angstrom`` over all of them, ``rdf_difference``; and
        ``verification``, ``n_frames`` and ``force_rmse_ev_per_angstrom`` of the loop's own, None where there was none.
    """
    rows = {key: node.get_dict() for key, node in forces.items()}
    frames = sum(row['n_frames'] for row in rows.values())
    square = sum(row['n_frames'] * row['force_rmse_ev_per_angstrom'] ** 2 for row in rows.values()) / frames
    verification = summary.get_dict().get('verification') or {}
    few = {name: verification.get(name) for name in ('n_frames', 'force_rmse_ev_per_angstrom')}
    facts = {'force_rmse_ev_per_angstrom': square**0.5, 'verification': few if verification else None, 'forces': rows}
    return orm.Dict({**facts, **structure.get_dict()})


def _thin(run: orm.TrajectoryData, skip_ps: float, n_frames: int) -> tuple[Any, Any]:
    late = np.flatnonzero(values_of(run, 'times') >= skip_ps)
    late = late if len(late) else np.arange(run.numsteps)
    chosen = late[np.unique(np.linspace(0, len(late) - 1, n_frames).astype(int))]
    return values_of(run, 'positions')[chosen], values_of(run, 'cells')[chosen]
