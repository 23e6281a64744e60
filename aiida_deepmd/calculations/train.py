"""The training of a potential in one job: train, freeze, compress if asked, test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo, CodeRunMode
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_deepmd.calculations.parent import check_parent
from aiida_deepmd.calculations.train_settings import TrainSettings, settings_of
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files import budget
from aiida_deepmd.files import input as deepmd


class DeepmdTrainCalculation(CalcJob):
    """Train a Deep Potential on the frames of all datasets, and say how wrong it is on frames it has not seen.

    The commands are run one after another by one job, so a queue is waited for once. Frames come from the
    ``DatasetData`` nodes and are not stored again; the model goes into the ``PotentialData`` and nowhere else.
    """

    DATA_FOLDER = 'data'
    TEST_LIST_FILENAME = 'test_systems.txt'
    DETAIL_PREFIX = 'detail'
    TRAIN_OUTPUT = 'train.out'
    FREEZE_OUTPUT = 'freeze.out'
    COMPRESS_OUTPUT = 'compress.out'
    TEST_OUTPUT = 'test.out'

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Declare the ports and the exit codes.

        :param spec: specification of the process.
        """
        super().define(spec)
        spec.input_namespace(
            'datasets',
            valid_type=DatasetData,
            dynamic=True,
            help='Every dataset to train on: coords (n_frames, n_atoms, 3) Å, energies (n_frames,) eV, forces '
            '(n_frames, n_atoms, 3) eV/Å, each with its own split.',
        )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            help="DeePMD-kit's training input: model, learning_rate, loss, training; without systems and seeds.",
        )
        spec.input(
            'parent',
            valid_type=PotentialData,
            required=False,
            help='Potential to continue from; its weights and statistics are kept.',
        )
        spec.input(
            'restart_folder',
            valid_type=orm.RemoteData,
            required=False,
            help='Folder of a training that was interrupted, with a checkpoint in it (`training.save_freq`): goes on '
            'from that step. The other inputs must be the same; excludes `parent`.',
        )
        spec.input(
            'only_evaluate',
            valid_type=orm.Bool,
            required=False,
            serializer=orm.to_aiida_type,
            help='Whether the training in `restart_folder` is complete: its model is frozen and tested, and no step is '
            'trained again.',
        )
        spec.input('seed', valid_type=orm.Int, serializer=orm.to_aiida_type, help='Seed of data order and weights.')
        spec.input(
            'settings',
            valid_type=orm.Dict,
            required=False,
            serializer=orm.to_aiida_type,
            help='The fields of `TrainSettings`: `backend`, `budget`, `compress`, `mask_fixed_atoms`, `model_branch`, '
            '`start`, `weights`.',
        )
        inputs: Any = spec.inputs
        options = inputs['metadata']['options']
        options['parser_name'].default = 'deepmd.train'
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        inputs.validator = validate_inputs
        cls._define_outputs(spec)
        cls._define_exit_codes(spec)

    @classmethod
    def _define_outputs(cls, spec: CalcJobProcessSpec) -> None:
        """Outputs and exit codes."""
        spec.output('potential', valid_type=PotentialData, help='The trained potential.', required=False)
        spec.output(
            'learning_curve',
            valid_type=orm.ArrayData,
            required=False,
            help='step, lr and rmse_val, rmse_trn (weighted), rmse_e_* in eV/atom, rmse_f_* in eV/Å; each (n_rows,).',
        )
        spec.output(
            'results',
            valid_type=orm.Dict,
            required=False,
            help='Held-out errors (energy eV/atom, force eV/Å) over all test frames, per dataset and per element; '
            'number of steps, seconds, version, warnings; with a budget what was planned.',
        )
        spec.output(
            'predictions',
            valid_type=orm.ArrayData,
            required=False,
            help='For each dataset, at most 200 of its test frames, evenly chosen: `{dataset}__frames` (n,), their '
            'numbers in the dataset; as predicted `{dataset}__energies` (n,) in eV and `{dataset}__forces` '
            '(n, n_atoms, 3) in eV/Å.',
        )
        spec.default_output_node = 'results'

    @classmethod
    def _define_exit_codes(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the exit codes, and which of them a machine can cause.

        :param spec: the process specification.
        """
        for status, label, by_machine, message in (
            (301, 'ERROR_NO_TRAIN_OUTPUT', True, 'The output of `dp train` was not retrieved.'),
            (302, 'ERROR_NO_LEARNING_CURVE', True, 'The training wrote no learning curve.'),
            (303, 'ERROR_LEARNING_CURVE_UNREADABLE', True, 'The learning curve cannot be read: {reason}.'),
            (304, 'ERROR_NO_MODEL', True, 'The training finished but no frozen model was written: {reason}.'),
            (305, 'ERROR_NO_COMPRESSED_MODEL', True, 'Compression was asked for but wrote no model: {reason}.'),
            (306, 'ERROR_NO_TEST_OUTPUT', True, 'The output of `dp test` was not retrieved.'),
            (307, 'ERROR_TEST_OUTPUT_UNREADABLE', True, 'The output of `dp test` cannot be read: {reason}.'),
            (
                311,
                'ERROR_DISK_FULL',
                True,
                'The disk of the work directory is full, which says nothing of the training: {line}',
            ),
            (400, 'ERROR_TRAINING_INTERRUPTED', True, 'The training was stopped at step {step} of {wanted}.'),
            (401, 'ERROR_TRAINING_FAILED', False, 'DeePMD-kit failed: {reason}.'),
            (
                402,
                'ERROR_NOT_EVALUATED',
                True,
                'The training is complete, but the job was ended before its potential was {missing}: {reason}',
            ),
            (
                410,
                'ERROR_LOSS_NOT_FINITE',
                False,
                'The training error is not finite from step {step} on; lower start_lr.',
            ),
            (
                411,
                'ERROR_DIVERGED',
                False,
                'The force error on held-out frames, {rmse:.3g} eV/Å, is no better than a potential without forces '
                '({reference:.3g} eV/Å).',
            ),
        ):
            spec.exit_code(status, label, message=message, invalidates_cache=by_machine)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write input and frames, and list the commands.

        :param folder: the sandbox of the job.
        """
        datasets: dict[str, DatasetData] = dict(sorted(self.inputs.datasets.items()))
        settings = settings_of(self.inputs)
        training = [key for key, dataset in datasets.items() if dataset.n_train]
        tested = [self.system(key, 'test') for key, dataset in datasets.items() if dataset.n_test]
        weights = settings.weights
        masked = settings.masks(datasets)
        complete = deepmd.complete_input(
            self.inputs.parameters.get_dict(),
            [self.system(key, 'train') for key in training],
            [self.system(key, 'validation') for key, dataset in datasets.items() if dataset.n_validation],
            self.inputs.seed.value,
            [weights[key] for key in training] if weights else None,
            masked,
        )
        root = Path(folder.abspath)
        texts = {} if settings.budget else {deepmd.INPUT_FILENAME: json.dumps(complete, indent=2)}
        if self._is_planned():
            texts = budget.input_files(complete)
            (root / budget.PROBE_FOLDER).mkdir()
        for name, text in texts.items():
            (root / name).write_text(text)
        (root / self.TEST_LIST_FILENAME).write_text('\n'.join(tested) + '\n')
        for key, dataset in datasets.items():
            for subset in ('train', 'validation', 'test'):
                if len(dataset.get_split(subset)):
                    dataset.write_npy(root / self.system(key, subset), subset, atom_pref=masked)
        written = [str(p.relative_to(root)) for p in (root / self.DATA_FOLDER).rglob('*') if p.is_file()]

        commands = self._commands(settings)
        planned = [deepmd.INPUT_FILENAME] if settings.budget else []  # by the job, so only its folder has it
        calcinfo = CalcInfo()
        calcinfo.codes_info = commands
        calcinfo.codes_run_mode = CodeRunMode.SERIAL
        calcinfo.provenance_exclude_list = written
        if 'parent' in self.inputs:
            parent = self.inputs.parent
            calcinfo.local_copy_list = [(parent.uuid, parent.training_filename, settings.start_arguments(parent)[1])]
        if 'restart_folder' in self.inputs:
            remote = self.inputs.restart_folder
            path = Path(remote.get_remote_path())
            names = [f'{deepmd.CHECKPOINT_PREFIX}*', 'checkpoint', deepmd.LEARNING_CURVE_FILENAME, *planned]
            names += [self.TRAIN_OUTPUT] if self._only_evaluates() else []
            calcinfo.remote_copy_list = [(remote.computer.uuid, str(path / name), '.') for name in names]
        outputs = [self.TRAIN_OUTPUT] if self._only_evaluates() else []
        outputs += [str(command.stdout_name) for command in commands]
        calcinfo.retrieve_list = [deepmd.LEARNING_CURVE_FILENAME, *planned, *outputs]
        details = [f'{self.DETAIL_PREFIX}.{quantity}.out' for quantity in ('e', 'f')]
        backend = settings.backend_facts
        models = [backend.frozen, backend.compressed, *([backend.checkpoint] if backend.checkpoint else [])]
        calcinfo.retrieve_temporary_list = [*models, *details]
        return calcinfo

    def presubmit(self, folder: Folder) -> CalcInfo:
        """Let a job with a budget plan its steps between the probe and the training.

        :param folder: the sandbox of the job.
        """
        calcinfo: CalcInfo = super().presubmit(folder)
        script = Path(folder.abspath) / self.options.submit_script_filename
        limit = settings_of(self.inputs).budget
        if limit is not None and self._is_planned() and script.exists():
            computer = self.node.computer
            ranks = computer.get_default_mpiprocs_per_machine() if computer is not None else None
            cores = budget.cores(self.options.resources, ranks)
            plan = budget.plan_command(self.inputs.parameters.get_dict(), 60 * limit.core_minutes / cores)
            script.write_text(budget.put_before(script.read_text(), self.TRAIN_OUTPUT, plan))
        return calcinfo

    def _is_planned(self) -> bool:
        """Tell whether the job itself finds its number of steps; a training that goes on keeps its own."""
        return settings_of(self.inputs).budget is not None and 'restart_folder' not in self.inputs

    def _only_evaluates(self) -> bool:
        """Tell whether the training is complete and its model alone is to be made and tested."""
        return 'only_evaluate' in self.inputs and bool(self.inputs.only_evaluate.value)

    @classmethod
    def system(cls, key: str, subset: str) -> str:
        """Folder of one subset of one dataset in the job.

        :param key: name of the dataset in the namespace.
        :param subset: ``train``, ``validation`` or ``test``.
        """
        return f'{cls.DATA_FOLDER}/{key}/{subset}'

    def _commands(self, settings: TrainSettings) -> list[CodeInfo]:
        """The commands in order; the model that MD will run is the one that is tested."""
        backend = settings.backend_facts
        start = settings.start_arguments(self.inputs.parent) if 'parent' in self.inputs else []
        if 'restart_folder' in self.inputs:
            start = ['--restart', deepmd.CHECKPOINT_PREFIX]
        model = backend.compressed if settings.compress else backend.frozen
        commands = [
            (['train', deepmd.INPUT_FILENAME, *start], self.TRAIN_OUTPUT),
            (['freeze', '-o', backend.frozen], self.FREEZE_OUTPUT),
        ][self._only_evaluates() :]
        if self._is_planned():
            commands.insert(0, (list(budget.PROBE_COMMAND), budget.PROBE_OUTPUT))
        if settings.compress:
            commands.append((['compress', '-i', backend.frozen, '-o', model], self.COMPRESS_OUTPUT))
        test = ['test', '-m', model, '-f', self.TEST_LIST_FILENAME, '-n', '0', '-d', self.DETAIL_PREFIX]
        commands.append((test, self.TEST_OUTPUT))
        infos = []
        for parameters, output in commands:
            info = CodeInfo()
            info.code_uuid = self.inputs.code.uuid
            info.cmdline_params = [*backend.options, *parameters]
            info.stdout_name = output
            info.join_files = True
            infos.append(info)
        return infos


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse, before the queue, what would only fail after it.

    :param inputs: inputs of the calculation.
    :return: one sentence that names the input, its value and the remedy; None if all is well.
    """
    if 'parameters' not in inputs:
        return None
    parameters = inputs['parameters'].get_dict()
    try:
        settings = settings_of(inputs)
    except ValueError as error:
        return str(error)
    backend = settings.backend_facts
    message = deepmd.check_parameters(parameters, backend) or check_parent(inputs, parameters, settings)
    if message is None and settings.compress:
        message = deepmd.check_compressible(parameters, backend)
    if message or 'datasets' not in inputs:
        return message  # a workchain that exposes the inputs may fill in the datasets later
    datasets: Mapping[str, DatasetData] = inputs['datasets']
    if not datasets:
        return '`datasets` is empty: give at least one dataset to train on.'
    type_map = list(parameters['model']['type_map'])
    for key, dataset in datasets.items():
        if dataset.type_map != type_map:
            return (
                f'`datasets.{key}` has the type_map {dataset.type_map}, but `parameters.model.type_map` is {type_map}: '
                'give both the same elements in the same order.'
            )
    for subset, use in (('train', 'trained on'), ('test', 'tested on')):
        if not any(len(dataset.get_split(subset)) for dataset in datasets.values()):
            return (
                f'no dataset of `datasets` {sorted(datasets)} has a frame to be {use}: offer at least 2 frames, and '
                f'give {subset} a share in `fractions`.'
            )
    if 'only_evaluate' in inputs and inputs['only_evaluate'].value and 'restart_folder' not in inputs:
        return '`only_evaluate` is true but no `restart_folder` is given: give the folder of the complete training.'
    if settings.start == 'finetune' and 'parent' not in inputs:
        return "`settings.start` is 'finetune' but no `parent` is given: give the pretrained potential."
    message = _validate_weights(settings, datasets)
    if message or not settings.masks(datasets):
        return message
    return deepmd.check_maskable(parameters['loss'], parameters.get('optimizer'))


def _validate_weights(settings: TrainSettings, datasets: Mapping[str, DatasetData]) -> str | None:
    """Shares that are shares, of the datasets that are there."""
    weights = settings.weights
    if not weights:
        return None
    training = {key for key, dataset in datasets.items() if dataset.n_train}
    if set(weights) != training:
        return f'`settings.weights` names {list(weights)}; name each dataset with training frames: {sorted(training)}.'
    if min(weights.values()) < 0 or abs(sum(weights.values()) - 1) > 1e-6:
        return f'`settings.weights` sums to {sum(weights.values()):g}; shares are not negative and sum to 1.'
    return None
