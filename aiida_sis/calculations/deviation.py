"""What a committee said along a dynamics that took several jobs."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_sis.calculations.trajectory_data import take_frames
from aiida_sis.core.lammps.deviation import judge_deviation
from aiida_sis.core.series import evenly
from aiida_sis.core.settings.md import read_md_settings


@calcfunction
def judge_joined_deviation(
    results: orm.Dict, parameters: orm.Dict, deviation: orm.ArrayData, candidates: orm.TrajectoryData | None = None
) -> dict[str, orm.Data]:
    """Judge the deviation of all jobs as if they had been one.

    :param results: Results of the last job, whose counts are of its own frames.
    :param parameters: Parameters of the dynamics.
    :param deviation: Deviation of all jobs, `step` and `max_force_deviation` (n,) in eV/Å.
    :param candidates: Candidates of all jobs.
    :return: `results` with the counts of all jobs, and `candidates`, thinned to `max_candidates`.
    :raises ValueError: If the parameters have no trust levels.
    """
    settings = read_md_settings(parameters.get_dict()).deviation
    if settings is None:
        raise ValueError('`parameters.deviation` is missing, so there are no trust levels to judge by.')
    verdict = judge_deviation(deviation.get_array('step'), deviation.get_array('max_force_deviation'), settings)
    outputs: dict[str, orm.Data] = {'results': orm.Dict(results.get_dict() | {'deviation': verdict.as_dict()})}
    if candidates is not None:
        kept = evenly(candidates.numsteps, settings.max_candidates)
        outputs['candidates'] = take_frames(candidates, kept)
    return outputs
