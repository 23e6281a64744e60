"""The branches of a label, played by a stand-in for CP2K that leaves prepared files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from aiida import engine, orm
from ase import Atoms

from aiida_sis.core.cp2k import output
from aiida_sis.workflows.label import LabelWorkChain

pytestmark = pytest.mark.slow

FILES = Path(__file__).parents[1] / 'files' / 'cp2k'
LEVEL = {'FORCE_EVAL': {'METHOD': 'QUICKSTEP', 'DFT': {'QS': {'METHOD': 'XTB'}}}}
CHARGES = (FILES / 'abort_charges' / 'aiida.out').read_text()
DONE = ' PROGRAM STOPPED IN /tmp\n'
KILLED = ' SCF WAVEFUNCTION OPTIMIZATION\n'
LATE = ' exceeded requested execution time\n' + DONE
MAX_STEPS = ' MAXIMUM NUMBER OF OPTIMIZATION STEPS REACHED\n' + DONE
WARNING = ' *** WARNING in qs_scf.F:601 :: SCF run NOT converged ***\n'

PLAYER = """#!/bin/bash
# Plays CP2K: leaves the files of the next prepared run of the kind that the input asks for.
if grep -q 'RUN_TYPE GEO_OPT' aiida.inp; then kind=opt; else kind=aimd; fi
number=$(( $(cat {folder}/$kind.count 2>/dev/null || echo 0) + 1 ))
echo $number > {folder}/$kind.count
source={folder}/${{kind}}_$number
cp $source/aiida-* . 2>/dev/null
cat $source/output
"""


class Stage:
    """A folder of prepared runs.

    :param folder: where they are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = {'aimd': 0, 'opt': 0}

    def _next(self, kind: str, output: str) -> Path:
        self.runs[kind] += 1
        run = self.folder / f'{kind}_{self.runs[kind]}'
        run.mkdir()
        (run / 'output').write_text(output)
        return run

    def optimisation(self, output: str = DONE, structure: bool = True) -> None:
        """Prepare a geometry optimisation that ends at 1.6 Å."""
        run = self._next('opt', output)
        if structure:
            (run / 'aiida-1.restart').write_text(restart(1.6))
            (run / 'aiida-pos-1.xyz').write_text(frame(0, -1.0, 1.6))

    def aimd(
        self,
        temperatures: list[float],
        output: str = DONE,
        *,
        seconds: float = 0.1,
        energies: bool = True,
        unconverged: int = 0,
        first: int = 0,
        line: str = ' ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]: {:.12f}\n',
    ) -> None:
        """Prepare an AIMD with one frame for each temperature in K, from the step `first` on."""
        numbers = range(first, first + len(temperatures))
        values = [-1.0 - 0.001 * number - 0.1 * self.runs['aimd'] for number in numbers]
        lengths = [1.6 + 0.01 * number + 0.001 * self.runs['aimd'] for number in numbers]
        lines = [
            (WARNING if number < unconverged else '') + line.format(value)
            for number, value in zip(numbers, values, strict=True)
        ]
        run = self._next('aimd', ''.join(lines) + output)
        if not temperatures:
            return
        (run / 'aiida-1.restart').write_text(restart(lengths[-1], numbers[-1]))
        (run / 'aiida-pos-1.xyz').write_text(''.join(map(frame, numbers, values, lengths)))
        (run / 'aiida-frc-1.xyz').write_text(''.join(map(frame, numbers, values, [0.01] * len(values))))
        cell = '6.0 0.0 0.0 0.0 6.0 0.0 0.0 0.0 6.0 216.0'
        (run / 'aiida-1.cell').write_text('# cells\n' + ''.join(f'{n} {n}.0 {cell}\n' for n in numbers))
        if energies:
            columns = zip(numbers, temperatures, values, strict=True)
            rows = [f'{n} {n}.0 0.01 {kelvin} {value} -0.9 {seconds}\n' for n, kelvin, value in columns]
            (run / 'aiida-1.ener').write_text('# energies\n' + ''.join(rows))


def frame(number: int, energy: float, length: float) -> str:
    """Write one frame of LiF."""
    comment = f' i = {number}, time = {number}.000, E = {energy:.10f}'
    return f'2\n{comment}\n Li 0.0 0.0 0.0\n F {length:.6f} 0.0 0.0\n'


def restart(length: float, step: int = 0) -> str:
    """Write what is read of a restart file."""
    cell = '\n A 6.0 0.0 0.0\n B 0.0 6.0 0.0\n C 0.0 0.0 6.0'
    motion = f' &MOTION\n &MD\n STEP_START_VAL  {step}\n &END MD\n &END MOTION\n'
    subsys = f'\n &CELL{cell}\n &END CELL\n &COORD\nLi 0.0 0.0 0.0\nF {length} 0.0 0.0\n &END COORD\n'
    return f'{motion} &FORCE_EVAL\n &SUBSYS{subsys} &END SUBSYS\n &END FORCE_EVAL\n'


@pytest.fixture
def stage(tmp_path) -> Stage:
    """An empty stage."""
    return Stage(tmp_path)


@pytest.fixture
def inputs(stage, aiida_localhost) -> dict:
    """The inputs of a label of LiF by the stand-in."""
    player = stage.folder / 'player.sh'
    player.write_text(PLAYER.format(folder=stage.folder))
    player.chmod(0o755)
    code = orm.InstalledCode(
        label='player', computer=aiida_localhost, filepath_executable=str(player), default_calc_job_plugin='cp2k'
    ).store()
    return {
        'structure': orm.StructureData(ase=Atoms('LiF', [[0, 0, 0], [1.6, 0, 0]], cell=[6, 6, 6], pbc=True)),
        'type_map': orm.List(['Li', 'F']),
        'seed': orm.Int(1),
        'parameters': orm.Dict({'length_fs': 9.0, 'timestep_fs': 1.0, 'label': 'lif'}),
        'cp2k': {
            'cp2k': {
                'code': code,
                'parameters': orm.Dict(LEVEL),
                'metadata': {'options': {'withmpi': False, 'resources': {'num_machines': 1}}},
            }
        },
    }


def run(inputs: dict, **parameters):
    """Run a label and give its outputs, its results and its node."""
    inputs['parameters'] = orm.Dict({**inputs['parameters'].get_dict(), **parameters})
    outputs, node = engine.run_get_node(LabelWorkChain, **inputs)
    return outputs, outputs['results'].get_dict() if 'results' in outputs else {}, node


NORMAL = [300.0] * 10
HOT = [300.0] * 6 + [9000.0] * 4


def test_normal(stage, inputs):
    """The trajectory of CP2K is the label's, without a copy."""
    stage.aimd(NORMAL)
    outputs, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    job = next(child for child in node.called_descendants if isinstance(child, orm.CalcJobNode))
    assert outputs['trajectory'].uuid == job.outputs.output_trajectory.uuid
    assert (results['route'], results['aimd_fs'], results['kept_frames']) == ('direct', 9.0, 10)
    assert (results['heating'], results['n_evaluations'], results['n_single_points']) == ('normal', 10, 0)
    assert results['wall_seconds'] == pytest.approx(1.0)
    assert outputs['dataset'].label == 'lif'
    labels = {link.link_label for link in node.base.links.get_outgoing().all()}
    assert {'aimd_1_input', 'aimd_1', 'aimd_1_frames', 'dataset', 'summary'} <= labels


def test_velocities_are_in_the_input(stage, inputs):
    """Velocities are for the snapshot only: an optimised structure gets new ones."""
    inputs['velocities'] = orm.ArrayData({'velocities': np.ones((2, 3))})
    stage.aimd([], CHARGES)
    stage.optimisation()
    stage.aimd(NORMAL)
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    made = [c.outputs.result.get_dict() for c in node.called if c.process_label == 'make_aimd_input']
    assert ['VELOCITY' in one['FORCE_EVAL'].get('SUBSYS', {}) for one in made] == [True, False]
    assert [one['GLOBAL']['SEED'] for one in made] == [1, 2]
    assert results['aimds'][0]['n_frames'] == 0


def test_failed_then_optimised(stage, inputs):
    """The frames before the failure are kept beside those of the second run, and its time is counted."""
    stage.aimd(NORMAL[:6], CHARGES)
    stage.optimisation(MAX_STEPS)
    stage.aimd(NORMAL)
    outputs, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert results['route'] == 'fallback'
    assert 'atomic charges' in results['reason']
    assert results['optimisation'] == {
        'converged': False,
        'reason': 'The maximum number of optimization steps reached.',
    }
    assert (results['kept_frames'], results['aimd_fs']) == (16, 14.0)
    assert outputs['trajectory'].get_shape('forces') == (16, 2, 3)
    assert outputs['temperatures'].get_array('aimd').tolist() == [1] * 6 + [2] * 10


def test_files_are_read_once(stage, inputs, monkeypatch):
    """Coordinates that the parser has read are not read again; those of a job that failed are, once."""
    read = []

    def spy(text, *args):
        read.append(len(text))
        return read_xyz(text, *args)

    read_xyz = output.read_xyz
    monkeypatch.setattr(output, 'read_xyz', spy)
    stage.aimd(NORMAL)
    assert run(inputs)[2].is_finished_ok
    assert len(read) == 2
    stage.aimd(NORMAL[:6], CHARGES)
    stage.optimisation()
    stage.aimd(HOT)
    read.clear()
    outputs, results, _ = run(inputs)
    assert len(read) == 2 * 3 + 2
    assert results['kept_frames'] == 12
    assert outputs['trajectory'].base.attributes.get('units|forces') == 'hartree/bohr'
    assert outputs['trajectory'].get_stepids().tolist() == list(range(12))


def test_hot_then_normal(stage, inputs):
    """What came before the heat is kept."""
    stage.aimd(HOT)
    stage.optimisation()
    stage.aimd(NORMAL)
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert [one['verdict'] for one in results['aimds']] == ['hot', 'normal']
    assert (results['kept_frames'], results['aimd_fs']) == (16, 18.0)
    assert (results['heating'], results['possible_exotherm']) == ('unphysical snapshot', False)


def test_hot_again_may_be_an_exotherm(stage, inputs):
    """Heat from an optimised structure is no artefact of the snapshot: it is reported, not hidden."""
    stage.aimd(HOT)
    stage.optimisation()
    stage.aimd(HOT)
    _, results, node = run(inputs)
    assert node.is_finished_ok, node.exit_message
    assert (results['heating'], results['possible_exotherm']) == ('possible exotherm', True)
    assert results['kept_frames'] == 12
    assert any('exotherm' in log.message for log in orm.Log.collection.get_logs_for(node))


def test_slow(stage, inputs):
    """A run that CP2K stopped at its budget is optimised; the second run is taken as it is."""
    stage.aimd(NORMAL[:4], LATE, seconds=9.0)
    stage.optimisation()
    stage.aimd(NORMAL, seconds=9.0)
    _, results, node = run(inputs, max_seconds_per_step=1.0)
    assert node.is_finished_ok, node.exit_message
    assert [one['verdict'] for one in results['aimds']] == ['slow', 'slow']
    assert results['kept_frames'] == 14


def test_optimised_first(stage, inputs):
    """A built structure is optimised once, and an AIMD from it has no second chance."""
    stage.optimisation()
    stage.aimd(HOT)
    outputs, results, node = run(inputs, optimise_first=True)
    assert node.is_finished_ok, node.exit_message
    assert (results['route'], results['possible_exotherm'], results['kept_frames']) == ('optimised_first', True, 6)
    assert 'optimised_structure' in outputs


def test_few_unconverged_frames(stage, inputs):
    """A frame whose SCF did not converge is left out of a run that is good otherwise."""
    stage.aimd([300.0] * 40, unconverged=1)
    outputs, results, node = run(inputs, length_fs=39.0)
    assert node.is_finished_ok, node.exit_message
    assert results['aimds'][0]['n_unconverged'] == 1
    assert outputs['trajectory'].get_shape('energies') == (39,)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'type_map': ['Li']}, 'The structure holds F'),
        ({'velocities': {'velocities': np.ones((3, 3))}}, '(2, 3)'),
        ({'parameters': {'fixed_atoms': [5]}}, 'fixed_atoms holds 5'),
    ],
)
def test_exit_201(inputs, changes, words):
    """The start must fit the run."""
    if 'type_map' in changes:
        inputs['type_map'] = orm.List(changes['type_map'])
    elif 'parameters' in changes:
        inputs['parameters'] = orm.Dict(changes['parameters'])
    else:
        inputs['velocities'] = orm.ArrayData(changes['velocities'])
    _, _, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_START.status
    assert words in node.exit_message
    assert not node.called


def test_exit_202(inputs):
    """The level of theory must cover the elements."""
    inputs['cp2k']['cp2k']['parameters'] = orm.Dict({'FORCE_EVAL': {'SUBSYS': {'KIND': {'_': 'Li'}}}})
    _, _, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_LEVEL_OF_THEORY.status
    assert 'no BASIS_SET for F, Li' in node.exit_message
    assert not node.called


def test_unknown_parameter(inputs):
    """A wrong key never becomes a process."""
    with pytest.raises(ValueError, match="did you mean 'length_fs'"):
        run(inputs, length=3.0)


def test_exit_301(inputs, monkeypatch):
    """A job whose files can't be had leaves nothing to read, and no second one is tried."""

    def refuse(*_: object) -> None:
        raise OSError('the disk is full')

    monkeypatch.setattr('aiida_cp2k.calculations.Cp2kCalculation.prepare_for_submission', refuse)
    _, results, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_OUTPUT.status
    assert results['aimds'] == []


def test_exit_302(stage, inputs):
    """Frames without temperatures can't be judged."""
    stage.aimd(NORMAL, energies=False)
    _, _, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_ENERGIES.status
    assert 'lacks the file aiida-1.ener' in node.exit_message


def test_exit_302_where_the_output_is_of_another_kind(stage, inputs):
    """Nothing is learnt on trust where an unconverged SCF would not be seen."""
    stage.aimd(NORMAL, line=' ENERGIES: total {:.12f}\n')
    outputs, _, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_ENERGIES.status
    assert 'lacks the energies of its frames in aiida.out' in node.exit_message
    assert 'dataset' not in outputs


@pytest.mark.parametrize(('symbols', 'charge'), [('LiF', 1), ('LiF2', 0)])
def test_exit_202_odd_number_of_electrons(inputs, symbols, charge):
    """CP2K is not asked for what it refuses, and UKS is named."""
    level = {'FORCE_EVAL': {'DFT': {'QS': {'METHOD': 'XTB'}, 'CHARGE': charge}}}
    inputs['cp2k']['cp2k']['parameters'] = orm.Dict(level)
    places = [[0, 0, 0], [1.6, 0, 0], [-1.6, 0, 0]][: len(Atoms(symbols))]
    inputs['structure'] = orm.StructureData(ase=Atoms(symbols, places, cell=[6, 6, 6], pbc=True))
    _, _, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_LEVEL_OF_THEORY.status
    assert 'set UKS true' in node.exit_message
    assert not node.called


def test_exit_401(stage, inputs):
    """The optimisation gave no structure; what the AIMD gave before is a dataset all the same."""
    stage.aimd(NORMAL[:6], CHARGES)
    stage.optimisation(CHARGES, structure=False)
    outputs, results, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_OPTIMISATION_FAILED.status
    assert outputs['dataset'].n_frames == results['kept_frames'] == 6
    assert 'Good frames kept: 6' in node.exit_message


def test_exit_402(stage, inputs):
    """The AIMD failed twice; the good frames of both are a dataset."""
    stage.aimd(NORMAL[:6], CHARGES)
    stage.optimisation()
    stage.aimd(NORMAL[:3], CHARGES)
    outputs, results, node = run(inputs)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_AIMD_FAILED.status
    assert outputs['dataset'].n_frames == results['kept_frames'] == 9
    assert results['aimd_fs'] == 7.0


def test_exit_403(stage, inputs):
    """An AIMD that is hot from its first frame has nothing to teach."""
    stage.optimisation()
    stage.aimd([9000.0] * 10)
    outputs, results, node = run(inputs, optimise_first=True)
    assert node.exit_status == LabelWorkChain.exit_codes.ERROR_NO_GOOD_FRAMES.status
    assert 'dataset' not in outputs
    assert results['kept_frames'] == 0
