"""Real frozen models, whole and spoilt, through `import-model`'s trial."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida import orm

from aiida_deepmd.calculations.import_potential import import_potential
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files.model_file import find_damage

pytestmark = pytest.mark.real


@pytest.fixture
def model(example_archive: Path) -> bytes:
    """A potential of the example's run."""
    with zipfile.ZipFile(example_archive) as archive:
        for item in archive.infolist():
            content = archive.read(item) if item.file_size > 10**6 else b''
            if b'train_attr/training_script' in content:
                return content
    raise AssertionError('the example holds no potential')


def rescaled(model: bytes, factor: float) -> bytes:
    """The model as a conversion from PyTorch leaves it: with the spread of the energies as a factor on them."""
    from deepmd.tf.env import tf

    graph = tf.GraphDef.FromString(model)
    (node,) = [node for node in graph.node if node.name == 'model_attr/model_attr/t_out_std']
    old = tf.make_ndarray(node.attr['value'].tensor)
    assert (old == 1).all()
    node.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(np.full_like(old, factor)))
    return bytes(graph.SerializeToString())


def test_models_and_what_is_none(aiida_profile_clean: Any, model: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'model.pb'
    for content, words in (
        (b'no', 'is no model that DeePMD-kit .*copy it again'),
        (model[:300_000], 'is no model that DeePMD-kit .*copy it again'),
        (model[:1_200_000], 'is no model that DeePMD-kit .*copy it again'),
        (rescaled(model, 0.065), 'converted from another backend .* by 0.065'),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=words):
            import_potential(path, type_map=['F', 'Li', 'N', 'O', 'S'])
    assert orm.QueryBuilder().append(PotentialData).count() == 0
    assert [find_damage(model[:end], True) is None for end in (300_000, 1_200_000, len(model))] == [False, False, True]
    path.write_bytes(model)
    assert import_potential(path).type_map == ['F', 'Li', 'N', 'O', 'S']
