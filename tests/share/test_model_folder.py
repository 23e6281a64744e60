"""The folder of a model, from the potentials of the example archive."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import dpdata
import numpy as np
import pytest
from aiida import orm
from aiida.manage import get_manager
from sqlalchemy import text

from aiida_deepmd.data.potential import PotentialData
from aiida_sis.share.card import level_in_words
from aiida_sis.share.model_folder import CARD, write_model


def test_model_and_data(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """The files are those of the nodes, and the training input finds every frame where it looks for it."""
    potential = example_run.outputs.potential
    write_model(potential, tmp_path / 'model')
    folder = tmp_path / 'model'
    assert hashlib.sha256((folder / 'model.pb').read_bytes()).hexdigest() == potential.sha256
    parent = example_run.outputs.potentials['g0']
    with parent.base.repository.open(parent.training_filename, 'rb') as handle:
        assert (folder / 'training' / 'parent.pb').read_bytes() == handle.read()
    training = json.loads((folder / 'training' / 'input.json').read_text())['training']
    systems = training['training_data']['systems']
    assert len(systems) == 4
    for system in systems:
        name = Path(system).parent.name
        dataset = example_run.outputs.datasets[name]
        frames = dataset.get_frames('train')
        read = dpdata.LabeledSystem(str(folder / 'training' / system), fmt='deepmd/npy')
        np.testing.assert_array_equal(read['energies'], frames.energies)
        np.testing.assert_array_equal(read['forces'], frames.forces)
    for system in training['validation_data']['systems']:
        assert (folder / 'training' / system / 'type.raw').exists()
    listed = json.loads((folder / 'training' / 'datasets.json').read_text())
    assert {item['sha256'] for item in listed} == {node.sha256 for node in example_run.outputs.datasets.values()}
    level = json.loads((folder / 'training' / 'cp2k_0.json').read_text())
    assert level == example_run.inputs.label.cp2k.cp2k.parameters.get_dict()


def test_card(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """The card names the model, its errors, its stable length, its versions and its limits."""
    potential = example_run.outputs.potential
    write_model(potential, tmp_path / 'model')
    card = (tmp_path / 'model' / CARD).read_text()
    results = potential.creator.outputs.results.get_dict()
    for words in (
        potential.sha256,
        potential.uuid,
        example_run.uuid,
        f'Force RMSE {results["force_rmse_ev_per_angstrom"]:.4f} eV/Å',
        'GFN1-xTB',
        'pair_coeff * * F Li N O S',
        'dp train input.json --init-frz-model parent.pb',
        '484 training frames',
        '| explore_g1_s1_r0 | F2LiNO4S2 | 300 | 20 to 850 | 50.000 | stable |',
        f'| seed of the run | {example_run.inputs.seed.value} |',
        f'| seed of the training | {potential.creator.inputs.seed.value} |',
        '| DeePMD-kit | 3.2.0 |',
        'doi:10.1021/acs.jpcc.3c05522',
        'which reached 600 K',
        'Elements other than F, Li, N, O, S',
        'give right-handed cells only',
    ):
        assert words in card, words
    assert max(len(line) for line in card.splitlines() if not line.startswith('|')) <= 120


def test_card_of_a_model_that_failed(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """The first potential left its window, and its card says so."""
    write_model(example_run.outputs.potentials['g0'], tmp_path / 'model')
    card = (tmp_path / 'model' / CARD).read_text()
    assert card.count('left its window at') == 2
    assert '`cd training && dp train input.json`' in card
    assert 'MD longer than' not in card


def test_imported_model(aiida_profile_clean, tmp_path: Path) -> None:
    """Of a potential without history, the model and what it says of itself are written, and that more is not known."""
    potential = PotentialData({'model.pb': b'x'}, ['Li', 'F'], descriptor='se_e2_a', rcut=6.0, sel=[4, 4]).store()
    paths = write_model(potential, tmp_path / 'model')
    assert [path.name for path in paths] == ['model.pb', CARD]
    card = (tmp_path / 'model' / CARD).read_text()
    assert 'the potential was imported' in card
    assert 'No MD was run with it' in card


def test_names_of_an_archive_stay_in_the_folder(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """The label of a link becomes the name of a folder, and an archive may have any."""
    potential = example_run.outputs.potential
    session = get_manager().get_profile_storage().get_session()
    change = "update db_dblink set label='datasets__../../x' where label='datasets__g0_0' and output_id="
    session.execute(text(f'{change}{potential.creator.pk}'))
    session.commit()
    with pytest.raises(ValueError, match=r'dataset name .* is not possible'):
        write_model(potential, tmp_path / 'model')
    assert not (tmp_path / 'x').exists()


def test_folder_must_be_empty(example_run: orm.WorkChainNode, tmp_path: Path) -> None:
    """Nothing is written among other files."""
    (tmp_path / 'mine').write_text('')
    with pytest.raises(FileExistsError):
        write_model(example_run.outputs.potential, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ['mine']


@pytest.mark.parametrize(
    ('tree', 'words'),
    [
        ({'FORCE_EVAL': {'METHOD': 'FIST'}}, 'a classical force field (CP2K FIST)'),
        ({'FORCE_EVAL': {'METHOD': 'QUICKSTEP', 'DFT': {'QS': {'METHOD': 'XTB'}}}}, 'GFN1-xTB'),
        (
            {
                'FORCE_EVAL': {
                    'DFT': {
                        'XC': {
                            'XC_FUNCTIONAL': {'_': 'PBE'},
                            'VDW_POTENTIAL': {'PAIR_POTENTIAL': {'TYPE': 'DFTD3'}},
                        }
                    },
                    'SUBSYS': {'KIND': [{'_': 'Li', 'BASIS_SET': 'DZVP-MOLOPT-SR-GTH-q3'}]},
                }
            },
            'PBE with DFTD3, DZVP-MOLOPT-SR-GTH-q3',
        ),
        ({'FORCE_EVAL': {'DFT': {'XC': {'XC_FUNCTIONAL': {'PBE': {}}}}}}, 'PBE'),
    ],
)
def test_level_in_words(tree: dict, words: str) -> None:
    """What CP2K computes, from the inputs that the protocols give."""
    assert level_in_words(tree) == words
