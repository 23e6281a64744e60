"""A potential as a node: its files, and what it says about them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from aiida import orm

from aiida_deepmd.data.potential import PotentialData

FACTS: dict[str, Any] = {'type_map': ['O', 'Li'], 'descriptor': 'se_e2_a', 'rcut': 6.0, 'sel': [20, 40]}


def test_facts_and_files(aiida_profile: Any, tmp_path: Path) -> None:
    path = tmp_path / 'frozen.pb'
    path.write_bytes(b'graph')
    pk = PotentialData(files={'model.pb': path}, deepmd_version='3.2.0', **FACTS).store().pk
    node = orm.load_node(pk)
    assert isinstance(node, PotentialData)
    assert (node.model_filename, node.training_filename) == ('model.pb', 'model.pb')
    assert (node.type_map, node.sel, node.rcut) == (['O', 'Li'], [20, 40], 6.0)
    assert not node.compressed
    assert node.deepmd_backend == 'tensorflow'
    assert node.sha256 == hashlib.sha256(b'graph').hexdigest()
    assert node.base.attributes.get('n_bytes') == 5
    with node.open_model() as handle:
        assert handle.read() == b'graph'


def test_the_storage_backend_is_not_shadowed(aiida_profile: Any) -> None:
    """`backend` is AiiDA's word for the storage of a node."""
    node = PotentialData(files={'model.pb': b'graph'}, **FACTS)
    assert node.backend is orm.Int(1).backend


def test_compressed_keeps_the_model_that_can_be_trained_further(aiida_profile: Any) -> None:
    node = PotentialData(files={'model.pb': b'table', 'frozen.pb': b'graph'}, compressed=True, **FACTS)
    assert (node.model_filename, node.training_filename) == ('model.pb', 'frozen.pb')
    assert node.sha256 == hashlib.sha256(b'table').hexdigest()


def test_export(aiida_profile: Any, tmp_path: Path) -> None:
    node = PotentialData(files={'model.pb': b'graph', 'checkpoint/checkpoint': b'c'}, **FACTS).store()
    written = node.export(tmp_path / 'out')
    assert sorted(Path(name).relative_to(tmp_path).as_posix() for name in written) == [
        'out/checkpoint/checkpoint',
        'out/model.pb',
    ]
    assert (tmp_path / 'out/model.pb').read_bytes() == b'graph'
    with pytest.raises(OSError, match='exists'):
        node.export(tmp_path / 'out')
    node.export(tmp_path / 'out', overwrite=True)


@pytest.mark.parametrize(
    ('arguments', 'word'),
    [
        ({'files': {'frozen.pb': b''}}, 'lack the model'),
        ({'type_map': []}, 'type_map is empty'),
        ({'type_map': ['Li', 'X\nshell touch f']}, 'which is no chemical element: give symbols'),
        ({'branches': {'a': ['D']}}, "type_map has 'D', which is no chemical element"),
        ({'deepmd_backend': 'abacus'}, 'abacus'),
    ],
)
def test_bad_arguments_are_named(aiida_profile: Any, arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        PotentialData(**{'files': {'model.pb': b'graph'}, **FACTS, **arguments})


def test_a_node_of_an_archive_may_say_anything(aiida_profile: Any, tmp_path: Path) -> None:
    """The name of its model is written into scripts; its files stay in the folder of an export."""
    node = PotentialData(files={'model.pb': b'graph'}, **FACTS)
    node.base.attributes.set('model_filename', 'model.pb\nshell touch f')
    with pytest.raises(ValueError, match=r'calls its model .* do not use it'):
        _ = node.model_filename
    node.base.repository.walk = lambda: iter([(Path('..'), [], ['model.pb'])])
    with pytest.raises(OSError, match='lies outside of'):
        node.export(tmp_path / 'out')
    assert not (tmp_path / 'model.pb').exists()
