"""Analyses of trajectories as calcfunctions, so that their numbers stand in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_sis.calculations.trajectory_data import values_of
from aiida_sis.core.analysis.analyse import Analysis, analyse, read_analysis_settings
from aiida_sis.core.analysis.rdf import rdf_difference
from aiida_sis.core.analysis.summary import facts
from aiida_sis.core.analysis.trajectory import Trajectory, from_arrays


@calcfunction
def analyse_trajectory(
    trajectory: orm.TrajectoryData, parameters: orm.Dict, structure: orm.StructureData | None = None
) -> dict[str, Any]:
    """Analyse a trajectory whole: structure, bonds, molecules, clusters, transport.

    :param trajectory: ``positions`` Å (n_frames, n_atoms, 3), ``cells`` Å (n_frames, 3, 3), and ``times`` ps
        (n_frames,) or ``steps``.
    :param parameters: keys of :class:`aiida_sis.core.analysis.analyse.AnalysisSettings`, each with a default; also
        ``timestep_fs``, the time of one step, for a trajectory without ``times`` (an AIMD).
    :param structure: the structure whose molecules name the kinds of atoms; without it the first frame.
    :returns: ``results``, a ``Dict``: molecules, bond events, clusters, coordination and diffusion, see
        :func:`aiida_sis.core.analysis.summary.facts`. ``rdf``: arrays ``r`` Å (n_bins,), ``g`` and ``coordination``
        (n_pairs, n_bins), their ``pairs`` in the attribute of that name; ``coordination`` counts the second kind around
        the first. ``census``: ``time_fs`` (n_frames,), ``molecules`` and ``salts`` (n_frames, n_species), their names
        in the attributes ``molecule_names`` and ``salt_names``. ``displacement``, of the frames that are equally far in
        time: ``lag_fs`` (n_lags,) and ``msd`` Å² (n_kinds, n_lags), attribute ``kinds``. ``density``, if it was asked
        for: ``z`` Å (n_bins,) and ``density`` Å⁻³ (n_kinds, n_bins), attribute ``kinds``.
    :raises ValueError: in one sentence, if a parameter, the structure or the times do not fit.
    """
    values = parameters.get_dict()
    timestep = values.pop('timestep_fs', None)
    start = None if structure is None else structure.get_ase()
    found = analyse(trajectory_of(trajectory, timestep), read_analysis_settings(values), start)
    outputs: dict[str, Any] = {'results': orm.Dict(facts(found)), 'rdf': _rdf(found), 'census': _census(found)}
    if found.msd:
        outputs['displacement'] = _arrays(
            {'lag_fs': found.lags_fs, 'msd': np.array(list(found.msd.values()))},
            kinds=list(found.msd),
        )
    if found.density is not None:
        outputs['density'] = _arrays(
            {'z': found.density.z, 'density': np.array(list(found.density.density.values()))},
            kinds=list(found.density.density),
        )
    return outputs


@calcfunction
def compare_rdfs(rdf: orm.ArrayData, reference: orm.ArrayData) -> orm.Dict:
    """Compare the radial distribution functions of two analyses, one number for each pair of kinds.

    :param rdf: output ``rdf`` of :func:`analyse_trajectory`.
    :param reference: another one, on the same distances.
    :returns: ``difference`` by pair (such as ``Li-O(DOL)``), see
        :func:`aiida_sis.core.analysis.rdf.rdf_difference`; pairs that only one of them has are left out.
    :raises ValueError: if the distances differ, or no pair is common.
    """
    if not np.array_equal(rdf.get_array('r'), reference.get_array('r')):
        raise ValueError('The distances of the two functions differ: analyse both with the same r_max and bin_width.')
    first, second = (
        dict(zip(map(tuple, node.base.attributes.get('pairs')), node.get_array('g'), strict=True))
        for node in (rdf, reference)
    )
    common = [pair for pair in first if pair in second and second[pair].any()]
    if not common:
        raise ValueError('The two analyses have no pair of kinds in common: give trajectories of the same molecules.')
    return orm.Dict({'difference': {'-'.join(pair): rdf_difference(first[pair], second[pair]) for pair in common}})


def trajectory_of(node: orm.TrajectoryData, timestep_fs: float | None = None) -> Trajectory:
    """Read the frames of a node.

    :param node: see :func:`analyse_trajectory`; its frames at times that do not rise are left out (a restart repeats
        one), and so are frames that are not finite.
    :param timestep_fs: time of one step, fs; not needed where the node has ``times``.
    :raises ValueError: if there are no cells, or the times are not known.
    """
    names = node.get_arraynames()
    if 'cells' not in names:
        raise ValueError(f'Trajectory {node.pk} has no cells: the analysis needs a periodic cell in each frame.')
    if 'times' in names:
        times = values_of(node, 'times') * 1000.0
    elif timestep_fs is None:
        raise ValueError(f'Trajectory {node.pk} has no times: give timestep_fs, the time of one step in fs.')
    else:
        times = np.asarray(node.get_array('steps'), dtype=np.float64) * float(timestep_fs)
    positions, cells = values_of(node, 'positions'), values_of(node, 'cells')
    good = np.isfinite(positions).all(axis=(1, 2)) & np.isfinite(cells).all(axis=(1, 2))
    good &= times > np.concatenate([[-np.inf], np.maximum.accumulate(times)[:-1]])
    name = f'Trajectory {node.pk}'
    return from_arrays(name, list(node.symbols), times[good], positions[good], cells[good])


def _rdf(found: Analysis) -> orm.ArrayData:
    rdfs = found.rdfs
    return _arrays(
        {
            'r': rdfs.r,
            'g': np.array([rdfs.g[pair] for pair in rdfs.pairs]),
            'coordination': np.array([rdfs.coordination(*pair) for pair in rdfs.pairs]),
        },
        pairs=[list(pair) for pair in rdfs.pairs],
    )


def _census(found: Analysis) -> orm.ArrayData:
    return _arrays(
        {'time_fs': found.times_fs, 'molecules': found.census.counts, 'salts': found.salts.counts},
        molecule_names=list(found.census.names),
        salt_names=list(found.salts.names),
    )


def _arrays(arrays: dict[str, Any], **attributes: Any) -> orm.ArrayData:
    node = orm.ArrayData(arrays)
    for name, value in attributes.items():
        node.base.attributes.set(name, value)
    return node
