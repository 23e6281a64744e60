"""How a potential is trained, beside what DeePMD-kit's own input says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from aiida_deepmd.data.dataset import DatasetData
from aiida_deepmd.data.potential import PotentialData
from aiida_deepmd.files.backend import BACKENDS, Backend
from aiida_deepmd.files.budget import TrainBudget
from aiida_deepmd.settings import Flag, Number, StrictModel


class TrainSettings(StrictModel):
    """How a potential is trained, beside what DeePMD-kit's own input says."""

    backend: Literal['tensorflow', 'pytorch'] = 'tensorflow'
    """Backend of DeePMD-kit that trains, freezes, compresses and tests. A potential stays with the one that made it."""
    budget: TrainBudget | None = None
    """What the training may cost, in place of a number of steps. Beside `restart_folder` it goes on as planned there.
    None: the steps of the input."""
    compress: Flag = False
    """Tabulate the model for faster MD."""
    weights: dict[str, Number] | None = None
    """How often each dataset is drawn, as shares that add up to 1; None: by its number of frames."""
    mask_fixed_atoms: Flag = True
    """Leave the forces of atoms that were held in place out of the loss and of the errors."""
    start: Literal['continue', 'finetune'] = 'continue'
    """``continue`` goes on with the weights and statistics of `parent`. ``finetune`` shifts its energy of each element
    to the new data first, for one pretrained at another level of theory (with TensorFlow attention descriptors
    only)."""
    model_branch: str | None = None
    """Branch of a `parent` of several tasks that is fine-tuned (PyTorch); ``RANDOM`` keeps its descriptor only."""

    @property
    def backend_facts(self) -> Backend:
        """What its backend is to a training."""
        return BACKENDS[self.backend]

    def start_arguments(self, parent: PotentialData) -> list[str]:
        """Arguments of ``dp train`` that have it start from a potential.

        :param parent: the potential; that it can be started from was checked.
        """
        arguments = list(self.backend_facts.start(self.start, parent.training_filename) or ())
        return arguments + (['--model-branch', self.model_branch] if self.model_branch else [])

    def masks(self, datasets: Mapping[str, DatasetData]) -> bool:
        """Tell whether a training leaves the forces of fixed atoms out: only where a dataset has such atoms.

        :param datasets: the datasets it is trained on.
        """
        return self.mask_fixed_atoms and any(dataset.fixed_atoms for dataset in datasets.values())


def settings_of(inputs: Any) -> TrainSettings:
    """The settings of a training, with the defaults where none were given.

    :param inputs: inputs of the calculation, of a builder or of a node.
    :raises ValueError: in one sentence.
    """
    return TrainSettings.read(inputs['settings'].get_dict() if 'settings' in inputs else {}, 'training settings')
