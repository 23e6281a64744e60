"""What a run will do, in numbers, before it is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_deepmd.files.backend import descriptors
from aiida_sis.core.settings.label import LabelSettings, read_label_settings
from aiida_sis.core.settings.sis import SisSettings, plan_replicas, read_settings
from aiida_sis.core.stage_windows import stage_windows
from aiida_sis.workflows.sis import SisWorkChain

__all__ = ('aimd_steps', 'plan_rows', 'refusal_of', 'stage_lines')

_JOBS = {'cp2k': ('label', 'cp2k', 'cp2k'), 'dp': ('train', 'train'), 'lmp': ('explore', 'md')}


def refusal_of(builder: Any) -> str | None:
    """Say what is wrong with the inputs of a run, as its submission would.

    :param builder: the filled builder.
    :returns: one sentence, or nothing.
    """
    problem = SisWorkChain.spec().inputs.validate(builder._inputs(prune=True))
    return None if problem is None else str(problem.message)


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


def plan_rows(builder: Any) -> list[tuple[str, str]]:
    """Say what a run of one kind of system will do, from its first label to the last generation.

    :param builder: the filled builder, whose inputs are sound.
    :returns: titles and what there is to say, in the order of the loop.
    """
    settings = read_settings(builder.parameters.get_dict())
    label = read_label_settings(builder.label.parameters.get_dict())
    replicas = len(plan_replicas(settings, list(builder.systems)))
    rows = [('stages', line.removeprefix('Stage ')) for line in stage_lines(builder.parameters, builder.systems)]
    rows += [
        *(('first labels', line) for line in _first_labels(settings, label, list(builder.systems))),
        ('later labels', _later_labels(settings, label)),
        ('kept frames', _kept(label)),
        *_training(builder, settings),
        ('MD', _dynamics(builder, settings, replicas)),
        ('generations', f'at most {settings.max_generations + 1}'),
        ('jobs', _jobs(settings, replicas, list(builder.systems))),
    ]
    return rows + [(key, _code(_section(builder, path))) for key, path in _JOBS.items()]


def aimd_steps(builder: Any) -> tuple[int, int]:
    """Count the AIMD steps of the first generation, and those of one label of a later one.

    :param builder: the filled builder.
    """
    settings = read_settings(builder.parameters.get_dict())
    label = read_label_settings(builder.label.parameters.get_dict())
    own = [settings.system(name) for name in builder.systems]
    first = sum((one.initial_labels or 0) * _steps(one.initial_length_fs, label) for one in own)
    return first, max(_steps(one.label_length_fs or label.length_fs, label) for one in own)


def _steps(length_fs: float | None, label: LabelSettings) -> int:
    return round((length_fs or 0.0) / label.timestep_fs)


def _first_labels(settings: SisSettings, label: LabelSettings, systems: list[str]) -> list[str]:
    lines = []
    for name in systems:
        own = settings.system(name)
        length, at = own.initial_length_fs, f'{label.timestep_fs:g} fs'
        first = f', after an optimisation of at most {label.optimisation.max_steps} steps' if own.optimise_first else ''
        lines.append(f'{own.initial_labels} AIMD of {length:g} fs ({_steps(length, label)} steps of {at}){first}')
    return lines


def _later_labels(settings: SisSettings, label: LabelSettings) -> str:
    sampling = settings.sampling
    return (
        f"strategy '{sampling.strategy}'; an AIMD is of {label.length_fs:g} fs ({_steps(label.length_fs, label)} steps)"
    )


def _kept(label: LabelSettings) -> str:
    train, validation, test = (f'{100 * part:.0f}' for part in label.dataset.fractions)
    stride = label.dataset.stride
    which = 'every frame' if stride == 1 else f'every {stride}. frame'
    return f'{which} of an AIMD, {train}/{validation}/{test} % for training, validation and test'


def _training(builder: Any, settings: SisSettings) -> list[tuple[str, str]]:
    values = builder.train.train.parameters.get_dict()
    training, rate, learning = values['training'], values['learning_rate'], settings.learning
    rows = []
    for part in descriptors(values['model']):
        if 'rcut' in part:
            neighbours = ', '.join(
                f'{symbol} {number}'
                for symbol, number in zip(values['model']['type_map'], _listed(part.get('sel')), strict=False)
            )
            rows.append(('descriptor', f'{part.get("type")}, R_cut {part["rcut"]:g} Å, sel {neighbours}'))
    fine = learning.fine_tune_lr or rate['start_lr'] * learning.lr_decay
    budget = (builder.train.train.settings.get_dict() if 'settings' in builder.train.train else {}).get('budget')
    steps = f'planned for {budget}' if budget else f'{training["numb_steps"]} steps'
    rows.append(('training', f'{steps}, learning rate from {rate["start_lr"]:g} to {rate["stop_lr"]:g}'))
    rows.append(('fine-tuning', f'{learning.fine_tune_steps} steps, learning rate from {fine:g}'))
    return rows


def _listed(sel: Any) -> list[Any]:
    return sel if isinstance(sel, list) else [sel]


def _dynamics(builder: Any, settings: SisSettings, replicas: int) -> str:
    values = builder.explore.md.parameters.get_dict()
    timestep = values.get('timestep_fs', 0.5)
    steps = ' and '.join(f'{stage.length_ps * 1e3 / timestep:,.0f}' for stage in settings.stages)
    return f'{replicas} runs in each stage, of {steps} steps of {timestep:g} fs'


def _jobs(settings: SisSettings, replicas: int, systems: list[str]) -> str:
    own = [settings.system(name) for name in systems]
    first = sum((one.initial_labels or 0) * (1 + bool(one.optimise_first)) for one in own)
    members = settings.sampling.committee_size if settings.sampling.strategy == 'committee' else 1
    md = replicas * len(settings.stages)
    return (
        f'generation 0: {first} of CP2K, {members} of DeePMD-kit, at most {md} of LAMMPS; '
        f'a later one: at most {replicas} labels, {members} of DeePMD-kit, at most {md} of LAMMPS'
    )


def _section(builder: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        builder = builder[name]
    return builder


def _code(job: Any) -> str:
    options = dict(job.metadata.options)
    resources = dict(options.get('resources') or {})
    ranks = resources.get('num_machines', 1) * resources.get('num_mpiprocs_per_machine', 1)
    seconds = options.get('max_wallclock_seconds')
    limit = f', {seconds} s at most' if seconds else ''
    return f'{job.code.full_label}, {ranks} rank{"s" * (ranks > 1)}{limit}'
