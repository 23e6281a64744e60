"""The verdict on each AIMD of a label: whether it is worth learning from, how far, and what its heat means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aiida_sis.core.cp2k.abort import SCF_REMEDY
from aiida_sis.core.cp2k.output import EnergySeries
from aiida_sis.core.indicator import judge_aimd
from aiida_sis.core.settings.label import LabelSettings

NORMAL, HOT, SLOW, FAILED = 'normal', 'hot', 'slow', 'failed'
#: What heat in a label means: the optimised snapshot stayed cool, it heated again, or there is no second AIMD to tell.
UNPHYSICAL_SNAPSHOT, POSSIBLE_EXOTHERM, UNDECIDED = 'unphysical snapshot', 'possible exotherm', 'undecided'
#: Share of frames without a converged SCF above which an AIMD has failed; below it only the frames are left out. One
#: frame alone is never a failure: it is the first SCF, which has no wavefunction to start from.
MAX_UNCONVERGED_SHARE = 0.05


def cp2k_degrees_of_freedom(n_atoms: int, n_fixed: int = 0) -> int:
    """Count degrees of freedom as CP2K does, because the temperatures judged here are those that it prints.

    CP2K takes off the three translations of a periodic cell even where fixed atoms hold them; its thermostat follows
    the same count, so that its mean temperature is the target.

    :param n_atoms: number of atoms, two of which move at least.
    :param n_fixed: number of fixed atoms.
    """
    return 3 * (n_atoms - n_fixed) - 3


@dataclass(frozen=True)
class AimdVerdict:
    """What became of one AIMD.

    :param name: which AIMD.
    :param verdict: `normal`, `hot` (left its ensemble upwards), `slow` (over budget) or `failed`.
    :param reason: one sentence for everything but `normal`, empty otherwise.
    :param asked_fs: AIMD time asked for in fs.
    :param aimd_fs: AIMD time computed in fs, whether its frames are kept or not.
    :param cut_short: whether the machine, or the time of the job, ended it before it had the length asked for.
    :param n_frames: frames computed, the initial one included.
    :param n_unconverged: frames whose SCF did not converge; they are never learnt.
    :param n_unknown: frames of whose SCF CP2K's output says nothing; they are never learnt either.
    :param n_good_frames: leading frames inside the ensemble, the unconverged ones among them included.
    :param last_good_step: CP2K's number of the last of them, -1 where there is none.
    :param max_temperature_k: highest temperature in K, None without a frame.
    :param mean_last_half_k: mean temperature of the second half in K, None without a frame.
    :param seconds_per_step: median wall time of a step in s, None without a step.
    :param from_optimised: whether the AIMD began from an optimised structure.
    """

    name: str
    verdict: str
    reason: str
    asked_fs: float
    aimd_fs: float
    cut_short: bool
    n_frames: int
    n_unconverged: int
    n_unknown: int
    n_good_frames: int
    last_good_step: int
    max_temperature_k: float | None
    mean_last_half_k: float | None
    seconds_per_step: float | None
    from_optimised: bool

    @property
    def heated(self) -> bool:
        """Whether it left its ensemble upwards, even if it failed afterwards."""
        return self.n_good_frames < self.n_frames


def judge(
    name: str,
    series: EnergySeries,
    settings: LabelSettings,
    n_atoms: int,
    *,
    n_unconverged: int = 0,
    n_unknown: int = 0,
    failure: str | None = None,
    ran_out_of_time: bool = False,
    ended_by_machine: bool = False,
    n_jobs: int = 1,
    from_optimised: bool = False,
) -> AimdVerdict:
    """Judge one AIMD by its own temperature and time, the same indicator that watches the long MD.

    :param name: which AIMD.
    :param series: its energies and temperatures.
    :param settings: what was asked for.
    :param n_atoms: number of atoms.
    :param n_unconverged: number of frames whose SCF did not converge.
    :param n_unknown: number of frames of whose SCF the output says nothing.
    :param failure: why CP2K stopped early, None where it did not.
    :param ran_out_of_time: whether CP2K stopped early because its time was up; without a budget that is the queue's
        limit, which says nothing of the structure: the frames are as good as any.
    :param ended_by_machine: whether the machine ended it, again and again, so that it did not come to its end.
    :param n_jobs: number of jobs that it took: each but the last may have died with what it had still to write.
    :param from_optimised: whether the AIMD began from an optimised structure.
    :returns: the verdict.
    """
    pace = series.seconds_per_step
    verdict, reason, n_good = NORMAL, '', len(series.steps)
    maximum = mean = None
    budget = settings.max_seconds_per_step
    if budget is not None and (ran_out_of_time or (pace is not None and pace > budget)):
        verdict = SLOW
        reason = f'The AIMD took {pace if pace is not None else float("nan"):.3g} s a step, its budget is {budget:g} s.'
    few = max(1, MAX_UNCONVERGED_SHARE * n_good)
    if n_unknown > few:
        reason = f"CP2K's output says nothing of the SCF of {n_unknown} of {n_good} frames."
        if ended_by_machine or n_jobs > 1:
            reason += ' It was lost with a job that the machine ended: they are left out.'
        else:
            verdict = FAILED
    if n_unconverged > few:
        verdict, reason = FAILED, f'The SCF of {n_unconverged} of {n_good} frames did not converge: {SCF_REMEDY}'
    asked, got = (float(steps * settings.timestep_fs) for steps in (settings.n_steps, _n_steps(series)))
    if ran_out_of_time and budget is None and verdict == NORMAL:
        reason = f'The AIMD was cut short: the time of the job was up after {got:g} of {asked:g} fs.'
    elif ended_by_machine and verdict == NORMAL:
        reason = ' '.join(filter(None, [f'The AIMD was cut short after {got:g} of {asked:g} fs. {failure}', reason]))
    elif failure and verdict != SLOW:
        verdict, reason = FAILED, failure
    if n_good:
        n_dof = cp2k_degrees_of_freedom(n_atoms, len(settings.fixed_atoms))
        ensemble = judge_aimd(series.temperatures, settings.temperature_k, n_dof, sigmas=settings.hot_sigmas)
        n_good, maximum, mean = ensemble.n_good_frames, ensemble.max_temperature_k, ensemble.mean_last_half_k
        if ensemble.verdict == HOT and verdict in (NORMAL, SLOW):
            verdict = HOT
            reason = (
                f'The AIMD reached {maximum:.0f} K, more than {settings.hot_sigmas:g} standard deviations above '
                f'{settings.temperature_k:g} K.'
            )
    return AimdVerdict(
        name=name,
        verdict=verdict,
        reason=reason,
        asked_fs=asked,
        aimd_fs=got,
        cut_short=(ran_out_of_time or ended_by_machine) and got < asked,
        n_frames=len(series.steps),
        n_unconverged=n_unconverged,
        n_unknown=n_unknown,
        n_good_frames=n_good,
        last_good_step=int(series.steps[n_good - 1]) if n_good else -1,
        max_temperature_k=None if maximum is None else float(maximum),
        mean_last_half_k=None if mean is None else float(mean),
        seconds_per_step=pace,
        from_optimised=from_optimised,
    )


def _n_steps(series: EnergySeries) -> int:
    """Number of MD steps; the initial frame is none."""
    return int(np.count_nonzero(series.steps > 0))


def judge_heating(verdicts: Sequence[AimdVerdict]) -> str:
    """Say what the heat in a label means: an artefact of its start, or perhaps the chemistry itself.

    :param verdicts: of the AIMD runs, in their order.
    :returns: `normal` where none heated; `possible exotherm` where one heated from an optimised structure;
        `unphysical snapshot` where the AIMD from the snapshot heated and the one from the optimised snapshot did not;
        `undecided` where it heated and no frame of an AIMD from an optimised structure followed.
    """
    if any(verdict.heated and verdict.from_optimised for verdict in verdicts):
        return POSSIBLE_EXOTHERM
    if not any(verdict.heated for verdict in verdicts):
        return NORMAL
    compared = any(verdict.from_optimised and verdict.n_frames > 0 for verdict in verdicts)
    return UNPHYSICAL_SNAPSHOT if compared else UNDECIDED


def describe(
    verdicts: Sequence[AimdVerdict], *, optimise_first: bool, optimisation: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Write down how a label went, as plain data.

    :param verdicts: of the AIMD runs, in their order.
    :param optimise_first: whether the geometry was optimised before the first AIMD.
    :param optimisation: `converged` and `reason` of the optimisation, None where there was none.
    :returns: route, reason of the fallback, what heat means, verdicts, cost.
    """
    fallback = optimisation is not None and not optimise_first
    last = verdicts[-1] if verdicts else None
    return {
        'route': 'fallback' if fallback else 'optimised_first' if optimise_first else 'direct',
        'reason': verdicts[0].reason if fallback and verdicts else '',
        'aimds': [asdict(verdict) for verdict in verdicts],
        'optimisation': None if optimisation is None else dict(optimisation),
        'aimd_fs': sum(verdict.aimd_fs for verdict in verdicts),
        'asked_fs': None if last is None else last.asked_fs,
        'cut_short': last is not None and last.cut_short,
        'max_temperature_k': max(
            (v.max_temperature_k for v in verdicts if v.max_temperature_k is not None), default=None
        ),
        'seconds_per_step': None if last is None else last.seconds_per_step,
        'heating': judge_heating(verdicts),
        'possible_exotherm': judge_heating(verdicts) == POSSIBLE_EXOTHERM,
    }
