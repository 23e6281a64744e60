"""The job of a watched dynamics: what it writes, and what it refuses before it is submitted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage.manager import get_manager

from aiida_deepmd.data.potential import PotentialData
from aiida_sis.calculations.md import LammpsMdCalculation, temperature_of

PARAMETERS: dict[str, Any] = {'temperature_k': 300, 'timestep_fs': 1.0, 'window_k': [0, 1500], 'length_ps': 5}
TYPE_MAP = ['F', 'Li', 'N']


LEVELS: dict[str, Any] = {'deviation': {'low_ev_per_angstrom': 0.05, 'high_ev_per_angstrom': 0.2}}


def structure_of(symbols: str = 'LiFLiF', pbc: tuple[bool, bool, bool] = (True, True, True)) -> orm.StructureData:
    """A few atoms in a box; not in the order of the type map."""
    node = orm.StructureData(cell=np.eye(3) * 8.0, pbc=pbc)
    for index, symbol in enumerate(symbols.replace('Li', 'L')):
        node.append_atom(position=(1.8 * index, 0.1, 0.2), symbols='Li' if symbol == 'L' else symbol)
    return node


@pytest.fixture
def inputs(aiida_profile: Any, stand_in_codes: dict[str, orm.InstalledCode]) -> Callable[..., dict[str, Any]]:
    """Inputs of a job, with changes."""

    def function(**changes: Any) -> dict[str, Any]:
        parameters = orm.Dict(PARAMETERS | changes.pop('parameters', {}))
        values = {
            'code': stand_in_codes['lmp'],
            'structure': structure_of(),
            'potential': PotentialData(files={'model.pb': b'graph'}, type_map=TYPE_MAP),
            'parameters': parameters,
            'seed': orm.Int(11),
        }
        return values | changes

    return function


def instantiate(values: dict[str, Any]) -> Any:
    """What every way to launch a process does first; it validates the inputs."""
    return instantiate_process(get_manager().get_runner(), LammpsMdCalculation, **values)


def prepare(values: dict[str, Any], folder: Any) -> Any:
    """Write the inputs of a job without running it."""
    return instantiate(values).prepare_for_submission(folder)


def test_files(inputs: Callable[..., dict[str, Any]]) -> None:
    values = inputs()
    with SandboxFolder() as folder:
        info = prepare(values, folder)
        script = Path(folder.get_abs_path('input.lmp')).read_text()
        data = Path(folder.get_abs_path('structure.data')).read_text()
        assert sorted(folder.get_content_list()) == ['input.lmp', 'structure.data']
    assert 'pair_coeff * * F Li N' in script
    assert 'velocity all create 600 11' in script
    assert '\n1 2 0.0 0.1 0.2\n2 1 1.8' in data
    # The model comes from its node and the frames go into nodes: neither is stored a second time.
    assert info.local_copy_list == [(values['potential'].uuid, 'model.pb', 'model.pb')]
    assert info.retrieve_list == ['log.lammps']
    assert ('ring/snap.*.lammpstrj', '.', 2) in info.retrieve_temporary_list


def test_committee_files(inputs: Callable[..., dict[str, Any]]) -> None:
    members = {name: PotentialData(files={'model.pb': name.encode()}, type_map=TYPE_MAP) for name in ('b', 'a')}
    with SandboxFolder() as folder:
        info = prepare(inputs(committee=members, parameters=LEVELS), folder)
        script = Path(folder.get_abs_path('input.lmp')).read_text()
    assert 'pair_style deepmd model.pb committee_0_model.pb committee_1_model.pb out_file model_devi.out' in script
    assert (members['a'].uuid, 'model.pb', 'committee_0_model.pb') in info.local_copy_list
    assert {'model_devi.out', 'candidates.lammpstrj'} <= set(info.retrieve_temporary_list)


def test_given_velocities(inputs: Callable[..., dict[str, Any]]) -> None:
    velocities = np.random.default_rng(0).normal(0, 3, (4, 3))
    node = orm.ArrayData()
    node.set_array('velocities', velocities)
    with SandboxFolder() as folder:
        prepare(inputs(velocities=node), folder)
        script = Path(folder.get_abs_path('input.lmp')).read_text()
        data = Path(folder.get_abs_path('structure.data')).read_text()
    section = data.split('Velocities\n\n')[1].split('\n')
    written = [[float(word) for word in line.split()[1:]] for line in section[:4]]
    assert np.array_equal(written, velocities)
    assert 'minimize' not in script
    assert 'velocity' not in script


def test_lammps_ends_before_the_scheduler_kills_it(inputs: Callable[..., dict[str, Any]]) -> None:
    with SandboxFolder() as folder:
        prepare(inputs(metadata={'options': {'max_wallclock_seconds': 1000}}), folder)
        assert 'timer timeout 900 every 10' in Path(folder.get_abs_path('input.lmp')).read_text()


def potential_of(type_map: list[str] = TYPE_MAP, rcut: float = 0.0) -> PotentialData:
    """A potential that is never run."""
    return PotentialData(files={'model.pb': b'graph'}, type_map=type_map, rcut=rcut)


def velocities_of(shape: tuple[int, ...], name: str = 'velocities') -> orm.ArrayData:
    """Velocities of some shape."""
    node = orm.ArrayData()
    node.set_array(name, np.ones(shape))
    return node


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (lambda: {'parameters': {'windw_k': 1}}, "'windw_k' of the MD parameters is unknown: did you mean 'window_k'"),
        (
            lambda: {'parameters': {'timestep_fs': -1}},
            "'timestep_fs' in the MD parameters is not valid: it must be above 0",
        ),
        (lambda: {'parameters': {'length_ps': 0}}, "'length_ps' in the MD parameters is not valid: it must be above 0"),
        (lambda: {'parameters': {'window_k': [400, 1500]}}, 'does not contain the target'),
        (lambda: {'parameters': {'window_k': [200, 500]}}, 'the narrowest window that 9 degrees of freedom at 300 K'),
        (lambda: {'structure': structure_of('LiFLiS')}, '`structure` has S, which `potential` does not know'),
        (lambda: {'structure': structure_of('Li')}, 'at least two atoms'),
        (lambda: {'structure': structure_of(pbc=(True, True, False))}, 'must be periodic in three directions'),
        (
            lambda: {
                'potential': PotentialData({'checkpoint.pt': b'weights'}, TYPE_MAP, deepmd_backend='pytorch'),
            },
            '`potential` holds a checkpoint alone, which LAMMPS does not read',
        ),
        (lambda: {'seed': orm.Int(0)}, '`seed` must lie between 1 and 900000000, but is 0'),
        (lambda: {'parameters': LEVELS}, '`parameters.deviation` is given without `committee`'),
        (lambda: {'committee': {'a': potential_of()}}, r'1 potential\(s\), but `parameters.deviation` is missing'),
        (
            lambda: {'committee': {'a': potential_of(TYPE_MAP[::-1])}, 'parameters': LEVELS},
            r"`committee.a` has the type_map \['N', 'Li', 'F'\], but `potential` has",
        ),
        (
            lambda: {'committee': {'a': potential_of(rcut=5.0)}, 'parameters': LEVELS},
            '`committee.a` has a cutoff of 5 Å, but `potential` has 0 Å',
        ),
        (lambda: {'parameters': {'fixed_atoms': [4]}}, '`fixed_atoms` has 4, but `structure` has 4 atoms'),
        (lambda: {'parameters': {'fixed_atoms': [0, 1, 2, 3]}}, 'holds all 4 atoms of `structure`'),
        (
            lambda: {'parameters': {'fixed_atoms': [0, 1], 'window_k': [0, 1300]}},
            'the narrowest window that 6 degrees of freedom at 300 K',
        ),
        (
            lambda: {'parameters': {'least_distances': {'Li-S': 2.0}}},
            '`least_distances` has Li-S, but `potential` knows F, Li, N: leave it out',
        ),
        (
            lambda: {'potential': potential_of(rcut=5.0), 'parameters': {'least_distances': {'F-Li': 5.5}}},
            '`least_distances` has 5.5 Å for F-Li, but `potential` has a cutoff of 5 Å: make it shorter',
        ),
        (lambda: {'velocities': velocities_of((3, 3))}, r'of shape \(4, 3\)'),
        (lambda: {'velocities': velocities_of((4, 3), 'speed')}, 'must hold an array of that name'),
    ],
)
def test_refusals_before_submission(
    inputs: Callable[..., dict[str, Any]], changes: Callable[[], dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        instantiate(inputs(**changes()))


def test_a_builder_refuses_a_bad_parameter_at_once(aiida_profile: Any) -> None:
    builder = LammpsMdCalculation.get_builder()
    with pytest.raises(ValueError, match="'timestep' of the MD parameters is unknown"):
        builder.parameters = orm.Dict(PARAMETERS | {'timestep': 1.0})


def test_a_start_outside_the_window_needs_a_grace_time(inputs: Callable[..., dict[str, Any]]) -> None:
    # Forty atoms allow a window whose upper edge lies below twice the temperature.
    narrow = {'window_k': [100, 580], 'grace_ps': 0.0}
    large = structure_of('LiF' * 20)
    with pytest.raises(ValueError, match='starts at 600 K, outside `window_k`'):
        instantiate(inputs(structure=large, parameters=narrow))
    with SandboxFolder() as folder:
        prepare(inputs(structure=large, parameters={'window_k': [100, 580]}), folder)
        assert 'step < 500' in Path(folder.get_abs_path('input.lmp')).read_text()


def test_temperature_of_velocities(aiida_profile: Any) -> None:
    assert temperature_of(structure_of(), None) is None
    assert temperature_of(structure_of(), np.zeros((4, 3))) == 0.0
