"""What a frozen model of DeePMD-kit (TensorFlow) says about itself, without TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The node of the graph that holds the input the model was trained with, as JSON.
_SCRIPT_NODE = b'train_attr/training_script'
_COMPRESSED = b'compressed_model'
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
