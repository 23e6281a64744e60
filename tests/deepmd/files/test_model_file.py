"""What a frozen model says about itself."""

from __future__ import annotations

import json

from aiida_deepmd.files.backend import neighbours_of
from aiida_deepmd.files.model_file import read_model

SCRIPT = {'model': {'type_map': ['O', 'Li'], 'descriptor': {'type': 'se_e2_a', 'rcut': 6.0, 'sel': [20, 40]}}}


def graph(script: str, kind: str = 'original_model') -> bytes:
    """Bytes as a protocol buffer holds them: an input that only names the node, the node, another constant."""
    name = b'train_attr/training_script'
    value = b'\x12\x05Const*\xdb\x15\n\x05value\x12\xd1\x15B\xce\x15\x08\x07\x12\x00B\xc7\x15' + script.encode()
    return b'\n' + name + b'\x00' * 500 + b'\n' + name + value + b'*\x0b\n\x05dtype\x80{}' + kind.encode()


def test_training_input() -> None:
    facts = read_model(graph(json.dumps(SCRIPT)))
    assert (facts.type_map, neighbours_of(facts.descriptor), facts.compressed) == (['O', 'Li'], [20, 40], False)
    assert (facts.descriptor['type'], facts.descriptor['rcut']) == ('se_e2_a', 6.0)
    assert read_model(graph(json.dumps(SCRIPT), 'compressed_model')).compressed


def test_hybrid_and_total_sel() -> None:
    parts = [{'type': 'se_atten', 'rcut': 5.0, 'sel': 30}, {'type': 'se_e2_r', 'rcut': 4.0, 'sel': [1, 2]}]
    script = {'model': {'type_map': ['O', 'Li'], 'descriptor': {'type': 'hybrid', 'list': parts}}}
    facts = read_model(graph(json.dumps(script)))
    assert (neighbours_of(facts.descriptor), facts.descriptor['rcut']) == ([30], 5.0)


def test_a_file_that_says_nothing() -> None:
    for content in (b'', b'graph', graph('{"model": '), graph('{}')):
        facts = read_model(content)
        assert (facts.type_map, facts.model, dict(facts.descriptor)) == ([], {}, {})
