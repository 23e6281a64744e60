"""What a run will do, in numbers, before it is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_sis.core.settings.sis import plan_replicas, read_settings
from aiida_sis.core.stage_windows import stage_windows

__all__ = ('stage_lines',)


def stage_lines(parameters: Mapping[str, Any], systems: Mapping[str, orm.StructureData]) -> list[str]:
    """Say what each stage is, with the windows in numbers.

    :param parameters: the settings of the run.
    :param systems: the start structures of the explored systems, by name.
    :returns: a line for each stage.
    :raises ValueError: in one sentence, where the windows do not fit the systems.
    """
    settings = read_settings(parameters)
    plan = plan_replicas(settings, list(systems))
    found = {
        replica: stage_windows(settings, replica, len(systems[replica.system].sites), len(plan)) for replica in plan
    }
    lines = []
    for number, stage in enumerate(settings.stages):
        windows = {replica: '{:g} to {:g} K'.format(*own[number]) for replica, own in found.items()}
        words = set(windows.values())
        if len(words) > 1:
            words = {f'{text} ({replica.system}, {replica.temperature_k:g} K)' for replica, text in windows.items()}
        lines.append(f'Stage {stage.name}: {stage.length_ps:g} ps, window {"; ".join(sorted(words))}')
    return lines
