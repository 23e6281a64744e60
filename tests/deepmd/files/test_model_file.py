"""What a frozen model says about itself."""

from __future__ import annotations

import io
import json
import zipfile

from aiida_deepmd.files.backend import neighbours_of
from aiida_deepmd.files.model_file import find_damage, read_model

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


def field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that has a length."""
    return bytes([8 * number + 2, len(content) % 128 + 128, len(content) // 128]) + content


def whole_graph() -> bytes:
    """Three nodes that every potential answers with, one with a weight, and the version, which is a number."""
    names = (b'weight', b'o_energy', b'o_force', b'o_virial')
    return b''.join(field(1, field(1, name) + field(2, b'Const' * 50)) for name in names) + b'\x18\x07'


def test_a_graph_is_read_to_its_end() -> None:
    """It is found wherever it is cut, between two nodes too; the version at the end alone is no loss."""
    graph = whole_graph()
    assert find_damage(graph, True) is None
    for end in range(len(graph) - 2):
        assert find_damage(graph[:end], True) is not None, end
    assert 'bytes are missing' in str(find_damage(graph[:-20], True))
    assert 'lacks o_virial' in str(find_damage(graph[: graph.index(b'o_virial') - 6], True))
    assert find_damage(b'no model', True) is not None


def test_what_pytorch_wrote_is_read_to_its_end() -> None:
    """A zip file: cut anywhere, or with a byte that was changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr('data.pkl', b'weights' * 50)
    content = buffer.getvalue()
    assert find_damage(content, False) is None
    for end in range(0, len(content), 10):
        assert find_damage(content[:end], False) is not None, end
    assert 'data.pkl' in str(find_damage(content.replace(b'weights', b'weighty', 1), False))
