"""A molecular dynamics with a Deep Potential that watches its own temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_deepmd.arrays import FloatArray
from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.structure import check_structure, positions_of, symbols_of
from aiida_sis.core.indicator import degrees_of_freedom, kinetic_temperature, validate_window
from aiida_sis.core.lammps import deviation
from aiida_sis.core.lammps import script as lammps_input
from aiida_sis.core.settings.base import refusal
from aiida_sis.core.settings.md import read_md_settings


class LammpsMdCalculation(CalcJob):
    """Run LAMMPS with a Deep Potential until the length is reached or the temperature leaves its window.

    Not derived from ``lammps.raw`` of aiida-lammps, although the transport is as simple: there the script is an input
    node and here it follows from the parameters, so that a workchain can change a window; and there a lost atom is a
    failure (309), while here it is a result.
    """

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:  # type: ignore[override]
        """Declare the ports and the exit codes.

        :param spec: Specification of the process.
        """
        super().define(spec)
        spec.input(
            'structure',
            valid_type=orm.StructureData,
            help='Where the dynamics starts; periodic in three directions; positions (n_atoms, 3) in Å.',
        )
        spec.input('potential', valid_type=PotentialData, help='The potential; it fixes the order of the elements.')
        spec.input_namespace(
            'committee',
            valid_type=PotentialData,
            dynamic=True,
            required=False,
            help='Other potentials on the same data, whose forces are compared with those of `potential`, which alone '
            'drives; needs `parameters.deviation`. Each adds its own cost to a step.',
        )
        spec.input(
            'velocities',
            valid_type=orm.ArrayData,
            required=False,
            help='Array `velocities`, (n_atoms, 3) in Å/ps. If given, nothing is minimised and nothing is drawn.',
        )
        spec.input(
            'seed',
            valid_type=orm.Int,
            serializer=orm.to_aiida_type,
            validator=validate_seed,
            help='Seed of the velocities and of the thermostat, 1 to 900000000.',
        )
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            serializer=orm.to_aiida_type,
            validator=validate_parameters,
            help='temperature_k, window_k [low, high] (K) and length_ps are required. Optional: timestep_fs (0.5), '
            'thermo_interval_fs (10), trajectory_interval_ps (1), ring_interval_fs (10), ring_size (60), grace_ps '
            '(0 if the start lies inside the window, else five time constants), elapsed_ps (0), thermostat {style: '
            'csvr, nose_hoover or none; time_constant_fs: 100}, minimise {enabled: true, etol: 1e-4, ftol: 1e-6, '
            'maxiter: 1000}, t_next '
            '{rule: band, mean or offset; margin_fs: 250; offset_fs: 100}. Velocities are drawn at twice the '
            'temperature after a minimisation, because half of the kinetic energy becomes potential energy at once. '
            'fixed_atoms ([]): numbers of the atoms that never move, from 0; temperatures are those of the others. '
            'deviation {low_ev_per_angstrom, high_ev_per_angstrom, interval_fs: 50, max_candidates: 20}: trust levels '
            'of the largest force deviation, with `committee`. least_distances ({}): limits in Å by pair of elements, '
            'as {F-Li: 1.4}; a pair of atoms that comes nearer ends the dynamics.',
        )
        inputs: Any = spec.inputs
        options = inputs['metadata']['options']
        options['parser_name'].default = 'sis.lammps.md'
        options['resources'].default = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
        options['withmpi'].default = False
        options['input_filename'].default = lammps_input.INPUT_FILENAME
        options['output_filename'].default = lammps_input.LOG_FILENAME
        inputs.validator = validate_inputs
        cls._define_outputs(spec)
        cls._define_exit_codes(spec)

    @classmethod
    def _define_outputs(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the outputs.

        :param spec: Specification of the process.
        """
        spec.output(
            'series',
            valid_type=orm.ArrayData,
            required=False,
            help='step, time_ps, temperature (K), potential_energy, total_energy, conserved (eV), pressure (bar), '
            'max_force (eV/Å), min_distance (Å); each (n_samples,). NaN: not computed on that step, or no number.',
        )
        spec.output(
            'results',
            valid_type=orm.Dict,
            required=False,
            help='stable; length_ps_requested, length_ps_reached; catastrophe {time_ps, temperature_k, bound, '
            'pair, distance_angstrom} or null; '
            't_next {time_ps, requested_time_ps, snapshot_index, rule} or null; '
            'symptoms {below_minimum_ps, …}; steps, speed, version, warnings; deviation {n_accurate, n_candidate, '
            'n_failed, max (eV/Å)}, null without a committee.',
        )
        spec.output(
            'snapshots',
            valid_type=orm.TrajectoryData,
            required=False,
            help='After a catastrophe, or where the job was cut short, the latest snapshots: positions (Å), velocities '
            '(Å/ps), forces (eV/Å), each (n_frames, n_atoms, 3); cells (n_frames, 3, 3) in Å; times in ps.',
        )
        spec.output(
            'trajectory',
            valid_type=orm.TrajectoryData,
            required=False,
            help='The whole dynamics at a wide spacing and its last frame; arrays as in `snapshots`.',
        )
        spec.output(
            'deviation',
            valid_type=orm.ArrayData,
            required=False,
            help='With a committee: step, time_ps, max_force_deviation, mean_force_deviation (eV/Å); each (n,).',
        )
        spec.output(
            'candidates',
            valid_type=orm.TrajectoryData,
            required=False,
            help='With a committee: frames between the trust levels, at most max_candidates, evenly chosen; arrays as '
            'in `snapshots`.',
        )
        spec.default_output_node = 'results'

    @classmethod
    def _define_exit_codes(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the exit codes, and which of them a machine can cause.

        :param spec: the process specification.
        """
        for status, label, by_machine, message in (
            (301, 'ERROR_NO_LOG', True, 'The log of LAMMPS was not retrieved.'),
            (302, 'ERROR_LOG_UNREADABLE', True, 'The log of LAMMPS holds no sample of the dynamics.'),
            (303, 'ERROR_LOG_TRUNCATED', True, 'The log stops in the middle: LAMMPS was killed after {time_ps:g} ps.'),
            (
                304,
                'ERROR_NO_SNAPSHOTS',
                True,
                'The dynamics failed, but no snapshot from before the failure can be read.',
            ),
            (305, 'ERROR_NO_TRAJECTORY', True, 'The trajectory was not retrieved or cannot be read.'),
            (306, 'ERROR_NO_DEVIATION', True, 'The deviation of the committee was not retrieved or cannot be read.'),
            (
                307,
                'ERROR_LOG_DAMAGED',
                True,
                'The log ends in good order, but tells of {time_ps:g} of {length_ps:g} ps and of no reason to stop: a '
                'part of it is lost.',
            ),
            (310, 'ERROR_LAMMPS', False, 'LAMMPS stopped with an error that the physics does not explain: {error}'),
            (
                311,
                'ERROR_DISK_FULL',
                True,
                'The disk of the work directory was full after {time_ps:g} ps, which says nothing of the potential: '
                '{line}',
            ),
            (400, 'ERROR_OUT_OF_WALLTIME', True, 'The time was up after {time_ps:g} ps; until there it was stable.'),
            (410, 'ERROR_START_FAILED', False, 'The potential fails before the dynamics begins: {error}'),
        ):
            spec.exit_code(status, label, message=message, invalidates_cache=by_machine)

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write script and structure; the potential is taken from its node without a second copy in the repository.

        :param folder: The sandbox of the job.
        :return: What to copy, run and retrieve.
        """
        structure: orm.StructureData = self.inputs.structure
        potential: PotentialData = self.inputs.potential
        settings = read_md_settings(self.inputs.parameters.get_dict())
        velocities = self.inputs.velocities.get_array('velocities') if 'velocities' in self.inputs else None
        options = self.inputs.metadata.options
        limit = options.get('max_wallclock_seconds')
        members = [node for _, node in sorted(self.inputs.get('committee', {}).items())]
        names = [f'committee_{number}_{node.model_filename}' for number, node in enumerate(members)]
        script = lammps_input.write_script(
            settings,
            potential.type_map,
            potential.model_filename,
            self.inputs.seed.value,
            given_temperature=temperature_of(structure, velocities, settings.fixed_atoms),
            # Leaves a tenth for the start and for writing the last frame.
            timeout_seconds=max(1, int(0.9 * limit)) if limit else None,
            committee_filenames=names,
        )
        data = lammps_input.write_data(
            symbols_of(structure), positions_of(structure), np.array(structure.cell), potential.type_map, velocities
        )
        for name, text in ((options.input_filename, script), (lammps_input.DATA_FILENAME, data)):
            with folder.open(name, 'w') as handle:
                handle.write(text)

        codeinfo = CodeInfo()
        codeinfo.code_uuid = self.inputs.code.uuid
        codeinfo.cmdline_params = ['-in', options.input_filename, '-log', lammps_input.LOG_FILENAME, '-screen', 'none']
        calcinfo = CalcInfo()
        calcinfo.codes_info = [codeinfo]
        calcinfo.local_copy_list = [(potential.uuid, potential.model_filename, potential.model_filename)]
        calcinfo.local_copy_list += [
            (node.uuid, node.model_filename, name) for node, name in zip(members, names, strict=True)
        ]
        calcinfo.retrieve_list = [lammps_input.LOG_FILENAME]
        calcinfo.retrieve_temporary_list = [
            lammps_input.TRAJECTORY_FILENAME,
            lammps_input.FINAL_FILENAME,
            (f'{lammps_input.RING_FOLDER}/{lammps_input.RING_PREFIX}*.lammpstrj', '.', 2),
        ]
        if members:
            calcinfo.retrieve_temporary_list += [deviation.DEVIATION_FILENAME, deviation.CANDIDATES_FILENAME]
        return calcinfo


def temperature_of(
    structure: orm.StructureData, velocities: FloatArray | None, fixed_atoms: Sequence[int] = ()
) -> float | None:
    """Return the kinetic temperature of given velocities.

    :param structure: The structure.
    :param velocities: Shape ``(n_atoms, 3)``, in Å/ps, or nothing.
    :param fixed_atoms: Numbers of the atoms that do not count, from 0.
    :return: Temperature in K, or nothing.
    """
    return None if velocities is None else kinetic_temperature(symbols_of(structure), velocities, fixed_atoms)


def validate_seed(node: orm.Int, _: Any) -> str | None:
    """Check the seed.

    :param node: The input.
    :return: One sentence, or nothing if it is sound.
    """
    if node and not 1 <= node.value <= lammps_input.MAX_SEED:
        return f'`seed` must lie between 1 and {lammps_input.MAX_SEED}, but is {node.value}.'
    return None


def validate_parameters(node: orm.Dict, _: Any) -> str | None:
    """Check the parameters by themselves.

    :param node: The input.
    :return: One sentence, or nothing if they are sound.
    """
    return refusal(read_md_settings, node.get_dict())


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Check the inputs against each other; a workchain that exposes them may leave some out.

    :param inputs: All inputs.
    :return: One sentence, or nothing if they fit.
    """
    structure, potential, parameters = (inputs.get(name) for name in ('structure', 'potential', 'parameters'))
    velocities = inputs.get('velocities')
    if structure is None:
        return None
    return (
        check_structure(structure, potential)
        or (None if parameters is None else _check_fixed(structure, parameters))
        or (None if potential is None else _check_committee(potential, inputs.get('committee') or {}, parameters))
        or (None if potential is None or parameters is None else _check_distances(potential, parameters))
        or (None if velocities is None else _check_velocities(structure, velocities))
        or (None if parameters is None else _check_window(structure, velocities, parameters))
    )


def _check_velocities(structure: orm.StructureData, velocities: orm.ArrayData) -> str | None:
    """Check that velocities fit the structure.

    :param structure: The structure.
    :param velocities: The velocities.
    :return: One sentence, or nothing.
    """
    expected = (len(structure.sites), 3)
    if 'velocities' not in velocities.get_arraynames():
        return f'`velocities` must hold an array of that name, but has {velocities.get_arraynames()}.'
    values = velocities.get_array('velocities')
    if values.shape != expected or not np.isfinite(values).all():
        return f'`velocities` must be finite and of shape {expected} as `structure`, but its shape is {values.shape}.'
    return None


def _check_window(structure: orm.StructureData, velocities: orm.ArrayData | None, parameters: orm.Dict) -> str | None:
    """Check the window against the thermal fluctuation of this structure, and the start against the window.

    :param structure: The structure.
    :param velocities: The velocities, if given.
    :param parameters: The parameters.
    :return: One sentence, or nothing.
    """
    try:
        settings = read_md_settings(parameters.get_dict())
    except ValueError as exception:
        return str(exception)
    n_dof = degrees_of_freedom(len(structure.sites), len(settings.fixed_atoms))
    values = None if velocities is None else velocities.get_array('velocities')
    given = temperature_of(structure, values, settings.fixed_atoms)
    return validate_window(
        settings.window_k, settings.temperature_k, n_dof, settings.length_ps
    ) or settings.check_start(given)


def _check_fixed(structure: orm.StructureData, parameters: orm.Dict) -> str | None:
    """Check that the fixed atoms are atoms of the structure, and not all of them.

    :param structure: The structure.
    :param parameters: The parameters.
    :return: One sentence, or nothing.
    """
    fixed = parameters.get_dict().get('fixed_atoms') or []
    n_atoms = len(structure.sites)
    beyond = [number for number in fixed if isinstance(number, int) and number >= n_atoms]
    if beyond:
        return f'`fixed_atoms` has {beyond[0]}, but `structure` has {n_atoms} atoms, counted from 0.'
    if len(fixed) >= n_atoms:
        return f'`fixed_atoms` holds all {n_atoms} atoms of `structure`: leave some free to move.'
    return None


def _check_distances(potential: PotentialData, parameters: orm.Dict) -> str | None:
    """Check that the least distances are of elements that the potential knows, and within its cutoff.

    :param potential: The potential.
    :param parameters: The parameters.
    :return: One sentence, or nothing.
    """
    limits = parameters.get_dict().get('least_distances') or {}
    for pair, limit in limits.items():
        if not set(pair.split('-')) <= set(potential.type_map):
            return f'`least_distances` has {pair}, but `potential` knows {", ".join(potential.type_map)}: leave it out.'
        if isinstance(limit, int | float) and limit > potential.rcut > 0:
            return (
                f'`least_distances` has {limit:g} Å for {pair}, but `potential` has a cutoff of {potential.rcut:g} Å: '
                'make it shorter.'
            )
    return None


def _check_committee(
    potential: PotentialData, committee: Mapping[str, PotentialData], parameters: orm.Dict | None
) -> str | None:
    """Check that a committee and its trust levels come together, and that its members can be compared.

    :param potential: The potential that drives.
    :param committee: The others.
    :param parameters: The parameters, if given.
    :return: One sentence, or nothing.
    """
    wanted = parameters is not None and bool(parameters.get_dict().get('deviation'))
    if wanted and not committee:
        return (
            '`parameters.deviation` is given without `committee`: give at least one other potential, or leave it out.'
        )
    if committee and parameters is not None and not wanted:
        return (
            f'`committee` has {len(committee)} potential(s), but `parameters.deviation` is missing: give it the trust '
            'levels low_ev_per_angstrom and high_ev_per_angstrom.'
        )
    for name, member in {'potential': potential, **committee}.items():
        if not member.runs:
            return (
                f'`{name}` holds a checkpoint alone, which LAMMPS does not read: train from it first (`start` '
                "'finetune'), or freeze it (`dp --pt freeze -c FILE -o model.pth`) and import that."
            )
    for name, member in committee.items():
        if member.type_map != potential.type_map:
            return (
                f'`committee.{name}` has the type_map {member.type_map}, but `potential` has {potential.type_map}: '
                'train all members with one type_map.'
            )
        if member.rcut != potential.rcut:
            return (
                f'`committee.{name}` has a cutoff of {member.rcut:g} Å, but `potential` has {potential.rcut:g} Å: '
                'train all members with one cutoff.'
            )
    return None
