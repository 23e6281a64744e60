"""The ports and exit codes of the loops: those they share, and those of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiida import orm

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.workflows.base import DeepmdBaseWorkChain
from aiida_sis.workflows.explore import ExploreWorkChain
from aiida_sis.workflows.label import LabelWorkChain
from aiida_sis.workflows.validation import validate_seed


def define_shared_ports(spec: Any, settings: str, validator: Callable[..., str | None]) -> None:
    """Declare what every loop is given and gives back, however it ends.

    :param spec: the process specification.
    :param settings: name of the class that reads the parameters.
    :param validator: of all inputs together.
    """
    spec.input(
        'type_map',
        valid_type=orm.List,
        serializer=orm.to_aiida_type,
        help='Order of the elements in the potential.',
    )
    spec.input('parameters', valid_type=orm.Dict, serializer=orm.to_aiida_type, help=f'Keys of `{settings}`.')
    spec.input(
        'seed',
        valid_type=orm.Int,
        serializer=orm.to_aiida_type,
        validator=validate_seed,
        help='Every random choice of the run follows from it.',
    )
    spec.expose_inputs(LabelWorkChain, namespace='label', exclude=('structure', 'velocities', 'type_map', 'seed'))
    spec.expose_inputs(DeepmdBaseWorkChain, namespace='train', exclude=('train.datasets', 'train.parent', 'train.seed'))
    spec.expose_inputs(
        ExploreWorkChain,
        namespace='explore',
        exclude=('md.structure', 'md.velocities', 'md.potential', 'md.committee', 'md.seed'),
    )
    spec.inputs.validator = validator
    spec.output('summary', valid_type=orm.Dict, help='Generations, catastrophic points, cost, acceleration ratio.')
    spec.output('potential', valid_type=PotentialData, required=False, help='The latest potential.')
    spec.output_namespace('datasets', valid_type=DatasetData, dynamic=True, help='All labelled data, by generation.')
    for status, label, message in (
        (401, 'ERROR_LABELLING_FAILED', 'No AIMD of generation {generation} gave a single usable frame.'),
        (402, 'ERROR_TRAINING_FAILED', 'The training of generation {generation} failed.'),
        (403, 'ERROR_EXPLORATION_FAILED', 'No MD of generation {generation} could be read.'),
    ):
        spec.exit_code(status, label, message)


def define_sis_ports(spec: Any) -> None:
    """Declare what a SIS run alone is given and gives back.

    :param spec: the process specification.
    """
    for name, text in (
        ('systems', 'The start structures that MD explores, by name.'),
        ('supporting', 'Structures that are labelled in generation 0 only, by name (the bulk phases of an interface).'),
    ):
        spec.input_namespace(name, valid_type=orm.StructureData, dynamic=True, required=name == 'systems', help=text)
    spec.input_namespace(
        'datasets',
        valid_type=DatasetData,
        dynamic=True,
        required=False,
        help='Frames that were labelled before: imported, or of an earlier run. A dataset whose label is the name of a '
        'system counts to its share.',
    )
    spec.input(
        'potential',
        valid_type=PotentialData,
        required=False,
        help='A potential to start from: of an earlier run, or pretrained (`learning.pretrained`, `start`).',
    )
    spec.output_namespace(
        'potentials', valid_type=PotentialData, dynamic=True, help='The potential of each generation.'
    )
    spec.output_namespace(
        'trajectories',
        valid_type=orm.TrajectoryData,
        dynamic=True,
        help='The MD of the last stage that was run, by replica: positions Å, velocities Å/ps, forces eV/Å, each '
        '(n_frames, n_atoms, 3); cells Å (n_frames, 3, 3); times ps.',
    )
    spec.output(
        'errors',
        valid_type=orm.ArrayData,
        required=False,
        help='Along the stable MD, where it was labelled: `replica`, `time_ps`, `force_rmse` and `teacher_force` '
        '(eV/Å), `energy_error` (eV/atom), each (n_frames,).',
    )
    message = 'The MD is not stable after the last generation allowed, {generation}.'
    spec.exit_code(410, 'ERROR_MAX_GENERATIONS', message)
    spec.exit_code(411, 'ERROR_NOT_VERIFIED', 'The MD of generation {generation} is stable, but not right enough.')


def define_hybrid_ports(spec: Any) -> None:
    """Declare what a hybrid run alone is given and gives back.

    :param spec: the process specification.
    """
    spec.input('structure', valid_type=orm.StructureData, help='Where the trajectory starts.')
    spec.output(
        'trajectory',
        valid_type=orm.TrajectoryData,
        required=False,
        help='AIMD and MD in their order: positions Å and `forces` eV/Å, each (n_frames, n_atoms, 3); cells Å '
        '(n_frames, 3, 3); times ps along the one trajectory, `cycle` and `is_aimd`, each (n_frames,).',
    )
