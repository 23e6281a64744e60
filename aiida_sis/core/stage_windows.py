"""The windows of the stages in numbers: what ``auto`` means for one MD."""

from __future__ import annotations

import math

from aiida_sis.core.indicator import degrees_of_freedom, narrowest_window
from aiida_sis.core.settings.sis import Replica, SisSettings

__all__ = ('stage_windows',)

#: How often the perfect MD of a stage, all replicas together, may leave an automatic window. Each time costs a
#: generation, and a window that is wider by a tenth costs nothing: a potential that fails heats far beyond.
FALSE_ALARMS = 0.01


def stage_windows(
    settings: SisSettings, replica: Replica, n_atoms: int, n_replicas: int
) -> tuple[tuple[float, float], ...]:
    """Give the window of one replica in every stage.

    An automatic window is the narrowest one by the chi-square law of the temperature, rounded outwards to whole K. It
    also holds the window of the stage after it, so that stages go from coarse to fine: a longer MD needs a wider one.

    :param settings: the settings of the run.
    :param replica: the MD, for its temperature and the fixed atoms of its system.
    :param n_atoms: number of atoms of its system.
    :param n_replicas: number of MD runs of a stage.
    :returns: lower and upper edge in K of each stage.
    :raises ValueError: in one sentence, where an automatic window reaches beyond one that was given to a stage before.
    """
    n_dof = degrees_of_freedom(n_atoms, len(settings.system(replica.system).fixed_atoms))
    found: list[tuple[float, float]] = []
    for stage in reversed(settings.stages):
        after = found[-1:]
        if stage.window_k == 'auto':
            low, high = narrowest_window(replica.temperature_k, n_dof, stage.length_ps, n_replicas, FALSE_ALARMS)
            windows = [(float(math.floor(low)), float(math.ceil(high))), *after]
            windows += [] if stage.at_least_k is None else [stage.at_least_k]
            found.append((min(low for low, _ in windows), max(high for _, high in windows)))
            continue
        low, high = stage.window_k
        if after and (after[0][0] < low or after[0][1] > high):
            raise ValueError(
                f'The automatic window [{after[0][0]:g}, {after[0][1]:g}] K of {n_dof} degrees of freedom (system '
                f"'{replica.system}') reaches beyond `window_k` [{low:g}, {high:g}] K of stage '{stage.name}' before "
                "it: give that stage a window that holds it, or 'auto'."
            )
        found.append((low, high))
    return tuple(reversed(found))
