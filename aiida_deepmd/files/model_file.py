"""What a frozen model of DeePMD-kit (TensorFlow) says about itself, without TensorFlow."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: The node of the graph that holds the input the model was trained with, as JSON.
_SCRIPT_NODE = b'train_attr/training_script'
_COMPRESSED = b'compressed_model'
#: What every potential answers with, the last nodes of its graph.
_OUTPUTS = frozenset({'o_energy', 'o_force', 'o_virial'})
#: Bytes after a node's name within which its value starts.
_REACH = 400


@dataclass(frozen=True)
class ModelFacts:
    """The facts of a model that a training and an MD with it must know.

    :param type_map: element of each type; empty if not known.
    :param model: the block ``model`` of the training input; empty if the file does not hold it.
    :param compressed: whether it is a compressed (tabulated) model, which can't be trained further.
    """

    type_map: list[str]
    model: dict[str, Any]
    compressed: bool

    @property
    def descriptor(self) -> Mapping[str, Any]:
        """The descriptor, that of a hybrid's first part; empty if not known."""
        descriptor: dict[str, Any] = self.model.get('descriptor', {})
        parts = descriptor.get('list') or [descriptor]
        return dict(parts[0])


def read_model(content: bytes) -> ModelFacts:
    """Read the training input that a frozen model carries (DeePMD-kit 2.1.5 and later).

    A graph is a protocol buffer, in which strings stand as they are: the JSON after the name of its node is read as is.

    :param content: content of the model file.
    """
    model = _training_script(content).get('model', {})
    return ModelFacts(list(model.get('type_map', [])), model, _COMPRESSED in content)


def find_damage(content: bytes, of_tensorflow: bool) -> str | None:
    """Read a model file to its end, as far as that goes without its library.

    A graph of TensorFlow is a row of nodes, each with its length before it; what PyTorch writes is a zip file, each
    part with a checksum.

    :param content: content of the model file.
    :param of_tensorflow: whether it is a frozen model of TensorFlow, else a model or a checkpoint of PyTorch.
    :returns: what is wrong with it; nothing where it is whole.
    """
    if of_tensorflow:
        try:
            missing = _OUTPUTS - set(_names_of_nodes(content))
        except ValueError as error:
            return f'it ends too early or is no graph: {error}'
        return f'its graph lacks {", ".join(sorted(missing))}' if missing else None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile as error:
        return f'it ends too early or is no model of PyTorch: {error}'
    return f'its part {damaged} is damaged' if damaged else None


def _names_of_nodes(content: bytes) -> Iterator[str]:
    """The names of the nodes of a graph, a protocol buffer whose field 1 are the nodes, whose field 1 is the name."""
    for number, node in _fields(content):
        if number == 1:
            yield next((name.decode('utf-8') for field, name in _fields(node) if field == 1), '')


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each field of a protocol buffer; those that are numbers are empty.

    :raises ValueError: for a field that is longer than what is left, or of an unknown kind.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind, length = key & 7, 0
        if kind == 0:
            _, place = _varint(message, place)
        elif kind == 2:
            length, place = _varint(message, place)
        else:
            length = {1: 8, 5: 4}.get(kind, -1)
        if length < 0:
            raise ValueError(f'byte {place} begins no field')
        if place + length > len(message):
            raise ValueError(f'{place + length - len(message)} bytes are missing')
        yield key >> 3, message[place : place + length] if kind == 2 else b''
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and where it ends."""
    value = shift = 0
    while True:
        if place >= len(message):
            raise ValueError('bytes are missing')
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _training_script(content: bytes) -> dict[str, Any]:
    """The JSON of the training input; empty if there is none."""
    start = content.find(_SCRIPT_NODE)
    while start >= 0:
        brace = content.find(b'{', start, start + _REACH)
        if brace >= 0:
            try:
                script, _ = json.JSONDecoder().raw_decode(content[brace:].decode('utf-8', errors='replace'))
            except json.JSONDecodeError:
                script = None
            if isinstance(script, dict) and 'model' in script:
                return script
        start = content.find(_SCRIPT_NODE, start + 1)
    return {}
