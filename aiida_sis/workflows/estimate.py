"""What labels will cost: a few AIMD steps that are really run, and multiplied out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiida import engine, orm

from aiida_sis.core.overlay import merge
from aiida_sis.core.settings.sis import read_settings
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.plan import aimd_steps

__all__ = ('Estimate', 'estimate')

N_STEPS = 2


@dataclass(frozen=True)
class Estimate:
    """The cost of the labels, in s of CP2K's own clock on the cores that the run asks for.

    :param pk: the label that was run.
    :param first_s: start of the program and first SCF.
    :param step_s: a later step.
    :param generation_0_s: all AIMD of generation 0, without its optimisations.
    :param label_s: one AIMD of a later generation.
    """

    pk: int
    first_s: float
    step_s: float
    generation_0_s: float
    label_s: float


def estimate(builder: Any) -> Estimate:
    """Run two steps of the first AIMD in this process, outside the run.

    :param builder: the filled builder of a run; nothing of it changes.
    :returns: what they took, multiplied out.
    :raises ValueError: in one sentence, where they failed.
    """
    settings = read_settings(builder.parameters.get_dict())
    name = min(builder.systems)
    own = settings.system(name)
    label: Any = LabelWorkChain.get_builder()
    label._merge(builder.label._inputs(prune=True))
    values = label.parameters.get_dict()
    changes = {
        'length_fs': N_STEPS * values.get('timestep_fs', 0.5),
        'temperature_k': (own.temperatures_k or (settings.temperature_k,))[0],
        'optimise_first': False,
        'fixed_atoms': list(own.fixed_atoms),
        'label': name,
        'dataset': {'stride': 1},
        # Two steps from a structure that was not optimised may be hot; only their time counts here.
        'hot_sigmas': 1e6,
    }
    label.parameters = orm.Dict(values | changes)
    label.cp2k.cp2k.parameters = orm.Dict(merge(label.cp2k.cp2k.parameters.get_dict(), own.cp2k))
    label.structure, label.type_map, label.seed = builder.systems[name], builder.type_map, orm.Int(builder.seed.value)
    _, node = engine.run_get_node(label)
    facts = node.outputs.results.get_dict() if 'results' in node.outputs else {}
    step, whole = facts.get('seconds_per_step'), facts.get('wall_seconds')
    if not step or not whole:
        raise ValueError(f'The trial of {N_STEPS} AIMD steps <{node.pk}> failed: {node.exit_message}')
    first = max(whole - N_STEPS * step, 0.0)
    steps, later = aimd_steps(builder)
    n_first = sum(settings.system(each).initial_labels or 0 for each in builder.systems)
    return Estimate(int(node.pk or 0), first, step, n_first * first + steps * step, first + later * step)
