"""Potentials from elsewhere: what is stored of them, and what is refused."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiida import orm

from aiida_deepmd.calculations.import_potential import import_potential
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files import model_trial
from aiida_deepmd.files.model_trial import ModelTrial
from tests.deepmd.files.test_model_file import whole_graph

DESCRIPTOR = {'type': 'se_e2_a', 'rcut': 6.0, 'sel': [20, 40]}
SCRIPT: dict[str, Any] = {'model': {'type_map': ['O', 'Li'], 'descriptor': DESCRIPTOR}}
NAMED = b'train_attr/training_script' + json.dumps(SCRIPT).encode()
GOOD = ModelTrial(['O', 'Li'], 2, -3.0, [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], 1.0)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have every model give an answer, or raise it."""

    def _answer(trial: ModelTrial | Exception) -> None:
        def try_model(_: Path) -> ModelTrial:
            if isinstance(trial, Exception):
                raise trial
            return trial

        monkeypatch.setattr(model_trial, 'can_try', lambda _: True)
        monkeypatch.setattr(model_trial, 'try_model', try_model)

    return _answer


def write(folder: Path, content: bytes = NAMED, name: str = 'model.pb') -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_facts_of_a_model_that_names_them(aiida_profile: Any, tmp_path: Path, answer: Any) -> None:
    answer(GOOD)
    potential = import_potential(write(tmp_path), label='public')
    assert potential.is_stored
    assert (potential.type_map, potential.descriptor, potential.rcut) == (['O', 'Li'], 'se_e2_a', 6.0)
    assert (potential.sel, potential.label) == ([20, 40], 'public')


def test_an_old_model_is_asked_for_its_elements(aiida_profile: Any, tmp_path: Path, answer: Any) -> None:
    """One from before DeePMD-kit 2.1.5 does not hold its input, but answers which elements it has."""
    answer(GOOD)
    assert import_potential(write(tmp_path, b'graph')).type_map == ['O', 'Li']
    with pytest.raises(ValueError, match=r"type_map \['O', 'Li'\], not \['Li', 'O'\]"):
        import_potential(write(tmp_path, b'graph'), type_map=['Li', 'O'])
    answer(ModelTrial([], 2, *list(vars(GOOD).values())[2:]))
    with pytest.raises(ValueError, match='give its type_map'):
        import_potential(write(tmp_path, b'graph'))
    with pytest.raises(ValueError, match=r"has 2 types, but the type_map \['O'\] has 1: give"):
        import_potential(write(tmp_path, b'graph'), type_map=['O'])
    assert import_potential(write(tmp_path, b'graph'), type_map=['Li', 'O']).type_map == ['Li', 'O']


def test_what_no_model_is_stored_of(aiida_profile_clean: Any, tmp_path: Path, answer: Any) -> None:
    answer(ValueError('DecodeError: Error parsing message'))
    with pytest.raises(ValueError, match=r"model.pb' is no model .*DecodeError.*copy it again"):
        import_potential(write(tmp_path, b'no'), type_map=['Na', 'Cl'])
    answer(ModelTrial(['O', 'Li'], 2, -3.0, [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], 1.0))
    with pytest.raises(ValueError, match=r"model.pb' has forces that are not the slope of its energy"):
        import_potential(write(tmp_path))
    assert orm.QueryBuilder().append(PotentialData).count() == 0


def test_without_deepmd_it_is_said_what_was_not_checked(
    aiida_profile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_trial, 'can_try', lambda _: False)
    graph = whole_graph()
    with pytest.warns(UserWarning, match='neither was it loaded, nor were its forces compared'):
        assert import_potential(write(tmp_path, graph), type_map=['O', 'Li']).type_map == ['O', 'Li']
    with pytest.warns(UserWarning, match='stored as it is'), pytest.raises(ValueError, match='give its type_map'):
        import_potential(write(tmp_path, graph))
    with pytest.raises(ValueError, match=r'can evaluate \(it ends too early .* copy it again'):
        import_potential(write(tmp_path, graph[:-30]), type_map=['O', 'Li'])


@pytest.mark.parametrize('name', ['model.pt2', 'model.dp', 'model.savedmodel', 'model.json'])
def test_models_of_other_backends(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r'another backend .*train anew on its frames\.'):
        import_potential(write(tmp_path, name=name))


def test_models_of_pytorch_say_what_they_are(aiida_profile: Any, tmp_path: Path, answer: Any) -> None:
    """What was pickled is asked in a process of its own; of several tasks the branches are kept."""
    answer(replace(GOOD, model=SCRIPT['model'], compressed=True))
    frozen = import_potential(write(tmp_path, b'zip', 'model.pth'))
    assert (frozen.deepmd_backend, frozen.model_filename, frozen.compressed) == ('pytorch', 'model.pth', True)
    assert (frozen.type_map, frozen.descriptor, frozen.rcut, frozen.sel) == (['O', 'Li'], 'se_e2_a', 6.0, [20, 40])
    answer(replace(GOOD, model={'model_dict': {'a': SCRIPT['model'], 'b': {**SCRIPT['model'], 'type_map': ['H']}}}))
    checkpoint = import_potential(write(tmp_path, b'zip', 'public.pt'))
    assert checkpoint.branches == {'a': ['O', 'Li'], 'b': ['H']}
    assert (checkpoint.training_filename, checkpoint.runs, frozen.runs) == ('checkpoint.pt', False, True)


def test_without_pytorch_a_model_is_stored_unseen(
    aiida_profile: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_trial, 'can_try', lambda _: False)
    with pytest.raises(ValueError, match='ends too early or is no model of PyTorch'):
        import_potential(write(tmp_path, b'zip', 'public.pt'), type_map=['O', 'Li'])
    with zipfile.ZipFile(tmp_path / 'public.pt', 'w') as archive:
        archive.writestr('data.pkl', b'weights')
    with pytest.warns(UserWarning, match=r'\(PyTorch\) is not installed'):
        potential = import_potential(tmp_path / 'public.pt', type_map=['O', 'Li'])
    assert (potential.type_map, potential.descriptor, potential.branches) == (['O', 'Li'], '', {})


@pytest.mark.parametrize('name', ['model.ckpt.meta', 'model.ckpt-4000.index', 'model'])
def test_checkpoints_are_to_be_frozen(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r'dp --tf freeze -o model\.pb'):
        import_potential(write(tmp_path, name=name))
