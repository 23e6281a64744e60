"""The trajectory that a user means by a PK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida import orm

__all__ = ('Chosen', 'choose_trajectory')


@dataclass(frozen=True)
class Chosen:
    """A stored trajectory.

    :param node: the trajectory.
    :param start: the structure that the run began with, whose molecules name the kinds; None if it is not known.
    :param timestep_fs: time of one step, None where the trajectory has its times or nothing says it.
    :param others: keys of the other trajectories of the run.
    :param note: what the user should know about the choice, or nothing.
    """

    node: orm.TrajectoryData
    start: orm.StructureData | None
    timestep_fs: float | None
    others: tuple[str, ...] = ()
    note: str = ''


def choose_trajectory(node: orm.Node, replica: str | None = None) -> Chosen:
    """Find the trajectory of a run, a child of it, or the node itself.

    :param node: a run (its MD of the last stage), an AIMD or an MD of it, or a trajectory.
    :param replica: key of the trajectory, where the run has several; None: the first.
    """
    from aiida import orm

    if isinstance(node, orm.TrajectoryData):
        return Chosen(node, None, _timestep(node))
    if not isinstance(node, orm.ProcessNode):
        raise click.BadParameter(f'node {node.pk} is a {type(node).__name__}: give a run or a trajectory.')
    found, note = _trajectories_of(node)
    if not found:
        state = (
            'has no trajectory yet: wait for its first MD'
            if not node.is_terminated
            else 'has no trajectory: give a run, or an AIMD or an MD of it'
        )
        raise click.ClickException(f'{node.process_label} {node.pk} {state}.')
    key = replica or sorted(found)[0]
    if key not in found:
        raise click.ClickException(
            f"there is no '{key}': the trajectories of {node.pk} are {', '.join(sorted(found))}."
        )
    chosen = found[key]
    others = tuple(sorted(set(found) - {key}))
    return Chosen(chosen, _start_of(node, list(chosen.symbols)), _timestep(chosen), others, note)


def _trajectories_of(node: orm.ProcessNode) -> tuple[dict[str, Any], str]:
    """Trajectories by key; of a run that goes on those of its newest MD, and a word about it."""
    from aiida_sis.core.loop.call_labels import EXPLORE
    from aiida_sis.run.record import loop_of, output_of, parts_of

    loop = loop_of(node)
    outputs: Any = loop.outputs
    if 'trajectories' in outputs:
        return dict(outputs.trajectories.items()), ''
    for name in ('trajectory', 'output_trajectory'):
        single = output_of(loop, name)
        if single is not None:
            return {name: single}, ''
    runs = [(call, output_of(child, 'trajectory')) for child, call in parts_of(loop) if call.kind == EXPLORE]
    with_one = [(call, trajectory) for call, trajectory in runs if trajectory is not None]
    if not with_one:
        return {}, ''
    newest = with_one[-1][0]
    found = {
        call.key: trajectory
        for call, trajectory in with_one
        if (call.generation, call.stage) == (newest.generation, newest.stage)
    }
    state = 'The run has not ended' if not loop.is_terminated else 'The run gave no trajectories back'
    return found, f'{state}: this is the MD of generation {newest.generation}, stage {newest.stage}.'


def _start_of(node: orm.ProcessNode, symbols: list[str]) -> orm.StructureData | None:
    """The start structure of the run with these atoms in this order."""
    from aiida import orm

    from aiida_sis.run.record import loop_of

    inputs: Any = loop_of(node).inputs
    candidates: list[Any] = []
    for name in ('systems', 'structure'):
        if name in inputs:
            value = inputs[name]
            candidates += value.values() if isinstance(value, Mapping) else [value]
    for structure in candidates:
        if isinstance(structure, orm.StructureData) and structure.get_ase().get_chemical_symbols() == symbols:
            return structure
    return None


def _timestep(node: orm.TrajectoryData) -> float | None:
    """Time of one step of an AIMD, from the input of the CP2K job that made it or whose frames it holds."""
    from aiida import orm

    if 'times' in node.get_arraynames():
        return None
    waiting: list[Any] = [node.creator]
    for process in waiting:
        if isinstance(process, orm.CalcJobNode) and 'parameters' in process.inputs:
            motion = process.inputs.parameters.get_dict().get('MOTION', {})
            timestep = motion.get('MD', {}).get('TIMESTEP') if isinstance(motion, dict) else None
            return None if timestep is None else float(str(timestep).split()[-1])
        if isinstance(process, orm.CalcFunctionNode) and len(waiting) < 20:
            waiting += [link.node.creator for link in process.base.links.get_incoming().all() if _is_data(link.node)]
    return None


def _is_data(node: Any) -> bool:
    from aiida import orm

    return isinstance(node, orm.Data) and node.creator is not None
