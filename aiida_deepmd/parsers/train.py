"""Read what a training job brought back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ExitCode
from aiida.parsers import Parser
from numpy.typing import NDArray

from aiida_deepmd.calculations.train import DeepmdTrainCalculation as Train
from aiida_deepmd.calculations.train_settings import settings_of
from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files import budget, output
from aiida_deepmd.files import input as deepmd
from aiida_deepmd.files.backend import cutoff_of, descriptors, neighbours_of
from aiida_deepmd.files.machine import full_disk, own_fault

#: Frames of each dataset whose prediction is kept: enough for a figure, whatever the size of the data.
MOST_PREDICTED = 200
#: A force error above this share of the forces themselves says that the potential has none.
NO_FORCES = 0.98
_CODES: Any = Train.exit_codes
#: The output of the command that did not do its part, where the job ended after a complete training.
_TO_BLAME = {
    _CODES.ERROR_NO_MODEL.status: Train.FREEZE_OUTPUT,
    _CODES.ERROR_NO_COMPRESSED_MODEL.status: Train.COMPRESS_OUTPUT,
    _CODES.ERROR_NO_TEST_OUTPUT.status: Train.TEST_OUTPUT,
    _CODES.ERROR_TEST_OUTPUT_UNREADABLE.status: Train.TEST_OUTPUT,
}


class DeepmdTrainParser(Parser):
    """Attach learning curve, results and potential; each as far as the job got."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Attach what could be read, then say what is missing, the earliest cause first.

        :param kwargs: ``retrieved_temporary_folder``, path of the files that are not kept.
        """
        self.temporary = Path(kwargs.get('retrieved_temporary_folder') or '/nonexistent')
        self.results: dict[str, Any] = {'warnings': []}
        self.finished = False
        failure = self._train()
        nan = self._failure('ERROR_LOSS_NOT_FINITE').status
        if self.finished and (failure is None or failure.status != nan):
            tested = self._test()
            if tested is not None and tested.status == nan:  # a model that answers NaN is no potential
                failure = tested
            else:
                missing = self._potential()
                failure = failure or missing or tested
        self.out('results', orm.Dict(self.results))
        return self._blame_machine(failure)

    def _blame_machine(self, failure: ExitCode | None) -> ExitCode | None:
        """Tell what the machine did from what DeePMD-kit did, which says why where it fails by itself.

        :param failure: what is missing.
        """
        if failure is None or failure.status in (_CODES.ERROR_LOSS_NOT_FINITE.status, _CODES.ERROR_DIVERGED.status):
            return failure
        stderr = self._text(self.node.get_option('scheduler_stderr') or '') or ''
        outputs = (budget.PROBE_OUTPUT, Train.TRAIN_OUTPUT, *_TO_BLAME.values())
        line = full_disk(stderr, *(self._text(name) or '' for name in outputs))
        if self.finished and failure.status in _TO_BLAME:
            by_itself = own_fault(stderr) or output.find_error(self._text(_TO_BLAME[failure.status]) or '')
            if line is not None or by_itself is None:
                missing = 'made' if failure.status == _CODES.ERROR_NO_MODEL.status else 'tested'
                reason = failure.message if line is None else f'The disk of the work directory is full ({line}).'
                return self._failure('ERROR_NOT_EVALUATED', missing=missing, reason=reason)
        return failure if line is None else self._failure('ERROR_DISK_FULL', line=line)

    def _failure(self, label: str, **values: Any) -> ExitCode:
        """The exit code of that label, its message completed."""
        code: ExitCode = getattr(self.exit_codes, label)
        return code.format(**values) if values else code

    def _text(self, name: str) -> str | None:
        """Content of a retrieved file, None if it is missing."""
        if name not in self.retrieved.base.repository.list_object_names():
            return None
        return self.retrieved.base.repository.get_object_content(name, 'rb').decode('utf-8', errors='replace')

    def _train(self) -> ExitCode | None:
        """Training log and learning curve."""
        text = self._text(Train.TRAIN_OUTPUT)
        parameters = self.node.inputs.parameters.get_dict()
        wanted, type_map = parameters['training']['numb_steps'], parameters['model']['type_map']
        if settings_of(self.node.inputs).budget is not None:
            wanted = self._plan()
            if wanted is None:
                return self._probe_failure(started=text is not None)
        if text is None:
            return self._failure('ERROR_NO_TRAIN_OUTPUT')
        log = output.parse_train_log(text)
        self.results.update(
            n_steps=log.n_steps,
            checkpoint_step=log.checkpoint_step,
            wall_seconds=log.wall_seconds,
            seconds_per_step=log.seconds_per_step,
            deepmd_version=log.version,
            warnings=[output.name_types(warning, type_map) for warning in log.warnings],
        )
        curve_failure = self._learning_curve()
        if log.nan_step is not None:
            return self._failure('ERROR_LOSS_NOT_FINITE', step=log.nan_step)
        if log.error is not None and not log.finished:
            return self._failure('ERROR_TRAINING_FAILED', reason=log.error)
        if not log.finished:
            return self._failure('ERROR_TRAINING_INTERRUPTED', step=log.n_steps, wanted=wanted)
        self.finished, self.results['n_steps'] = True, wanted
        return curve_failure

    def _plan(self) -> int | None:
        """What a job with a budget planned; nothing where it did not come to it."""
        probe, plan = self._text(budget.PROBE_OUTPUT), self._text(deepmd.INPUT_FILENAME)
        if probe is not None:
            self.results['probe_seconds_per_step'] = output.parse_train_log(probe).seconds_per_step
        steps = None if plan is None else budget.planned_steps(plan)
        self.results['planned_steps'] = steps
        return steps

    def _probe_failure(self, started: bool) -> ExitCode:
        """Why no training was planned.

        :param started: whether the job went on to the training, which had no input then; otherwise it was killed.
        """
        probe = self._text(budget.PROBE_OUTPUT)
        if probe is None:
            return self._failure('ERROR_NO_TRAIN_OUTPUT')
        error = output.find_error(probe)
        if error is None and not started:
            return self._failure('ERROR_TRAINING_INTERRUPTED', step=0, wanted='as many as its budget allows')
        reason = error or f'the probe of its budget reports no time for a step, see {budget.PROBE_OUTPUT}'
        return self._failure('ERROR_TRAINING_FAILED', reason=reason)

    def _learning_curve(self) -> ExitCode | None:
        """Learning curve, and whether it stayed finite."""
        text = self._text(deepmd.LEARNING_CURVE_FILENAME)
        if text is None:
            return self._failure('ERROR_NO_LEARNING_CURVE')
        try:
            curve = output.parse_learning_curve(text)
        except output.DeepmdOutputError as error:
            return self._failure('ERROR_LEARNING_CURVE_UNREADABLE', reason=error)
        self.out('learning_curve', orm.ArrayData(dict(curve.columns)))
        for name, key in (
            ('train_energy_rmse_ev_per_atom', 'rmse_e_trn'),
            ('train_force_rmse_ev_per_angstrom', 'rmse_f_trn'),
            ('validation_energy_rmse_ev_per_atom', 'rmse_e_val'),
            ('validation_force_rmse_ev_per_angstrom', 'rmse_f_val'),
        ):
            value = curve.last(key)
            self.results[name] = _finite(value)
        if curve.first_bad_step is not None:
            return self._failure('ERROR_LOSS_NOT_FINITE', step=curve.first_bad_step)
        return None

    def _test(self) -> ExitCode | None:
        """Held-out errors."""
        text = self._text(Train.TEST_OUTPUT)
        if text is None:
            return self._failure('ERROR_NO_TEST_OUTPUT')
        try:
            errors = output.parse_test_log(text)
        except output.DeepmdOutputError as error:
            reason = output.find_error(text) or str(error)
            return self._failure('ERROR_TEST_OUTPUT_UNREADABLE', reason=reason)
        return self._errors(errors)

    def _potential(self) -> ExitCode | None:
        """The model as a node: compressed if that was made, else frozen; and what a further training starts from."""
        settings = settings_of(self.node.inputs)
        backend = settings.backend_facts
        frozen, compressed = self.temporary / backend.frozen, self.temporary / backend.compressed
        if not frozen.is_file():
            return self._failure('ERROR_NO_MODEL', reason=self._reason(Train.FREEZE_OUTPUT))
        is_compressed = settings.compress and compressed.is_file()
        files: dict[str, Path | bytes] = {backend.model_file: compressed if is_compressed else frozen}
        checkpoint = self.temporary / backend.checkpoint
        if checkpoint.is_file():
            files[backend.training_file] = checkpoint
        elif is_compressed and not backend.checkpoint:
            files[backend.training_file] = frozen
        model = self.node.inputs.parameters.get_dict()['model']
        descriptor = next(descriptors(model), {})
        potential = PotentialData(
            files=files,
            type_map=model['type_map'],
            descriptor=model['descriptor'].get('type', ''),
            rcut=cutoff_of(descriptor) or 0.0,
            sel=neighbours_of(descriptor),
            deepmd_backend=backend.name,
            deepmd_version=self.results['deepmd_version'],
            compressed=is_compressed,
        )
        self.out('potential', potential)
        if settings.compress and not is_compressed:
            return self._failure('ERROR_NO_COMPRESSED_MODEL', reason=self._reason(Train.COMPRESS_OUTPUT))
        return None

    def _reason(self, name: str) -> str:
        """Why a command failed, from its output."""
        text = self._text(name)
        return 'its output is missing' if text is None else output.find_error(text) or f'see {name}'

    def _errors(self, errors: dict[str, output.SystemErrors]) -> ExitCode | None:
        """Held-out errors over all frames, per dataset, per element."""
        datasets: dict[str, DatasetData] = {
            Train.system(key, 'test'): dataset
            for key, dataset in sorted(self.node.inputs.datasets.items())
            if dataset.n_test
        }
        missing = sorted(set(datasets) - set(errors))
        if missing:
            return self._failure('ERROR_TEST_OUTPUT_UNREADABLE', reason=f'no errors reported for {missing}')
        errors = {system: errors[system] for system in datasets}
        masked = settings_of(self.node.inputs).masks(dict(self.node.inputs.datasets.items()))
        free = {s: d.atom_weights > 0 if masked else np.ones(d.n_atoms, bool) for s, d in datasets.items()}
        details = self._details(datasets, free)
        if details is not None:
            self._predictions(datasets)
        if masked:
            if details is None:
                reason = 'without its details the force error of the free atoms is not known'
                return self._failure('ERROR_TEST_OUTPUT_UNREADABLE', reason=reason)
            errors = {system: output.replace_force_errors(e, details[system]) for system, e in errors.items()}
        energy, force = output.pool(errors, {system: int(array.sum()) for system, array in free.items()})
        forces = [dataset.get_frames('test').forces[:, free[system]].ravel() for system, dataset in datasets.items()]
        reference = float(np.sqrt(np.mean(np.concatenate(forces) ** 2)))
        self.results.update(
            energy_rmse_ev_per_atom=_finite(energy),
            force_rmse_ev_per_angstrom=_finite(force),
            test_force_rms_ev_per_angstrom=reference,
            per_dataset={system.split('/')[1]: _per_dataset(e) for system, e in errors.items()},
            n_train_frames=sum(dataset.n_train for dataset in self.node.inputs.datasets.values()),
            n_test_frames=sum(e.n_frames for e in errors.values()),
            n_masked_atoms={s.split('/')[1]: int((~array).sum()) for s, array in free.items() if not array.all()},
            per_element=_per_element(datasets, free, details),
        )
        if not np.isfinite(force):
            return self._failure('ERROR_LOSS_NOT_FINITE', step=self.results['n_steps'])
        if force > NO_FORCES * reference:
            return self._failure('ERROR_DIVERGED', rmse=force, reference=reference)
        return None

    def _details(
        self, datasets: dict[str, DatasetData], free: dict[str, NDArray[np.bool_]]
    ) -> dict[str, NDArray[np.float64]] | None:
        """Force errors of the free atoms of each system; None with a warning if they did not come back whole."""
        path = self.temporary / f'{Train.DETAIL_PREFIX}.f.out'
        try:
            forces = {system: dataset.get_frames('test').forces for system, dataset in datasets.items()}
            return output.split_detail(output.parse_detail(path.read_text()), forces, free)
        except (OSError, output.DeepmdOutputError) as error:
            self.results['warnings'].append(f'no force error per element: {error}')
            return None

    def _predictions(self, datasets: dict[str, DatasetData]) -> None:
        """What the potential says of held-out frames, whose labels are in the datasets already."""
        counts = {system: dataset.n_test for system, dataset in datasets.items()}
        texts = {quantity: self.temporary / f'{Train.DETAIL_PREFIX}.{quantity}.out' for quantity in ('e', 'f')}
        try:
            energies = output.split_energies(output.parse_detail(texts['e'].read_text()), counts)
            rows = output.parse_detail(texts['f'].read_text())[:, 3:].astype(np.float32)
        except (OSError, output.DeepmdOutputError) as error:
            self.results['warnings'].append(f'no predictions of single frames: {error}')
            return
        arrays, start = {}, 0
        for system, dataset in datasets.items():
            stop = start + dataset.n_test * dataset.n_atoms
            forces, start = rows[start:stop].reshape(dataset.n_test, dataset.n_atoms, 3), stop
            kept = np.linspace(0, dataset.n_test - 1, min(dataset.n_test, MOST_PREDICTED)).round().astype(int)
            key = system.split('/')[1]
            arrays[f'{key}__frames'] = dataset.get_split('test')[kept]
            arrays[f'{key}__energies'] = energies[system][kept]
            arrays[f'{key}__forces'] = forces[kept]
        self.out('predictions', orm.ArrayData(arrays))


def _per_dataset(errors: output.SystemErrors) -> dict[str, Any]:
    """The errors of one dataset, named with their units."""
    return {
        'n_frames': errors.n_frames,
        'energy_rmse_ev_per_atom': _finite(errors.energy_rmse),
        'force_rmse_ev_per_angstrom': _finite(errors.force_rmse),
        'energy_mae_ev_per_atom': _finite(errors.energy_mae),
        'force_mae_ev_per_angstrom': _finite(errors.force_mae),
    }


def _per_element(
    datasets: dict[str, DatasetData],
    free: dict[str, NDArray[np.bool_]],
    details: dict[str, NDArray[np.float64]] | None,
) -> dict[str, float]:
    """Force error of each element, eV/Å; empty without details."""
    if details is None:
        return {}
    symbols = {
        system: [symbol for symbol, counts in zip(dataset.symbols, free[system], strict=True) if counts]
        for system, dataset in datasets.items()
    }
    return output.force_rmse_per_element(details, symbols)


def _finite(value: float | None) -> float | None:
    """The value if a database can store it, else None."""
    return value if value is not None and np.isfinite(value) else None
