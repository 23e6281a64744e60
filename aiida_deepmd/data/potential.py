"""A trained Deep Potential as a node."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, cast

from aiida import orm

from aiida_deepmd.elements import check_elements
from aiida_deepmd.files.backend import BACKENDS, Backend


class PotentialData(orm.Data):
    """A Deep Potential: the file that LAMMPS runs, and what a further training starts from.

    With TensorFlow the frozen model alone is enough for both. It holds every weight and statistic in double precision,
    at a quarter of the bytes of a checkpoint (which adds the optimiser's moments and the graph), and
    ``--init-frz-model`` starts at the same error as ``--init-model``. With PyTorch the last checkpoint is beside it.
    A model that was pretrained on several tasks is a checkpoint alone, which can be fine-tuned, but not run.
    """

    def __init__(
        self,
        files: Mapping[str, Path | bytes] | None = None,
        type_map: Sequence[str] = (),
        descriptor: str = '',
        rcut: float = 0.0,
        sel: Sequence[int] = (),
        deepmd_backend: str = 'tensorflow',
        deepmd_version: str = '',
        compressed: bool = False,
        branches: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        """Store the files with their digest and what a user of the potential must know.

        :param files: name in the node -> path or content; must hold the model file of the backend (``model.pb``,
            ``model.pth``) or its checkpoint (``checkpoint.pt``).
        :param type_map: element of each type.
        :param descriptor: type of the descriptor, e.g. ``se_e2_a``.
        :param rcut: cutoff radius, Å.
        :param sel: maximum number of neighbours of each type (or in total).
        :param deepmd_backend: ``tensorflow`` or ``pytorch`` (``backend`` is AiiDA's storage).
        :param deepmd_version: version of DeePMD-kit that trained it.
        :param compressed: whether the model file is a compressed (tabulated) one.
        :param branches: branches of a model of several tasks, name -> element of each type.
        :raises ValueError: for an unknown backend, an empty type map, what is no element, or a missing model file.
        """
        super().__init__(**kwargs)
        if files is None:
            return
        if deepmd_backend not in BACKENDS:
            raise ValueError(f"deepmd_backend '{deepmd_backend}' is unknown; use one of {sorted(BACKENDS)}.")
        if not type_map:
            raise ValueError('type_map is empty: a potential must name its elements in order.')
        for names in (type_map, *(branches or {}).values()):
            check_elements(names)
        backend = BACKENDS[deepmd_backend]
        filename = backend.model_file
        if filename not in files and backend.checkpoint and backend.training_file in files:
            filename = backend.training_file
        if filename not in files:
            raise ValueError(f"files {sorted(files)} lack the model '{filename}' of the {deepmd_backend} backend.")
        contents = {name: data if isinstance(data, bytes) else Path(data).read_bytes() for name, data in files.items()}
        for name, content in contents.items():
            self.base.repository.put_object_from_bytes(content, name)
        attributes: dict[str, Any] = {
            'model_filename': filename,
            'type_map': list(type_map),
            'descriptor': descriptor,
            'rcut': float(rcut),
            'sel': list(sel),
            'deepmd_backend': deepmd_backend,
            'deepmd_version': deepmd_version,
            'compressed': bool(compressed),
            'branches': {name: list(elements) for name, elements in (branches or {}).items()},
            'sha256': hashlib.sha256(contents[filename]).hexdigest(),
            'n_bytes': sum(len(content) for content in contents.values()),
        }
        self.base.attributes.set_many(attributes)

    @property
    def backend_facts(self) -> Backend:
        """What its backend is to a training."""
        return BACKENDS[self.deepmd_backend]

    @property
    def model_filename(self) -> str:
        """Name of the file LAMMPS reads; of a checkpoint alone its own, which LAMMPS does not read.

        :raises ValueError: if it is none of its backend's: a node of an archive may say anything, and LAMMPS reads it.
        """
        name, backend = str(self.base.attributes.get('model_filename')), self.backend_facts
        if name not in (backend.model_file, backend.training_file):
            raise ValueError(f'potential {self.pk} calls its model {name!r}, which is no name of one: do not use it.')
        return name

    @property
    def runs(self) -> bool:
        """Whether LAMMPS can run it: not a checkpoint alone."""
        return self.model_filename == self.backend_facts.model_file

    @property
    def training_filename(self) -> str:
        """Name of the file a further training starts from: the uncompressed model, or the checkpoint."""
        own = self.backend_facts.training_file
        return own if own in self.base.repository.list_object_names() else self.model_filename

    @property
    def branches(self) -> dict[str, list[str]]:
        """Branches of a model of several tasks, with the element of each type; empty for others."""
        return dict(self.base.attributes.get('branches', {}))

    @property
    def type_map(self) -> list[str]:
        """Element of each type, in order."""
        return list(self.base.attributes.get('type_map'))

    @property
    def descriptor(self) -> str:
        """Type of the descriptor, e.g. ``se_e2_a``; empty if not known."""
        return str(self.base.attributes.get('descriptor'))

    @property
    def rcut(self) -> float:
        """Cutoff radius, Å."""
        return float(self.base.attributes.get('rcut'))

    @property
    def compressed(self) -> bool:
        """Whether the model file is compressed."""
        return bool(self.base.attributes.get('compressed'))

    @property
    def deepmd_backend(self) -> str:
        """Backend of DeePMD-kit that reads the model."""
        return str(self.base.attributes.get('deepmd_backend'))

    @property
    def sel(self) -> list[int]:
        """Maximum number of neighbours of each type (or in total)."""
        return list(self.base.attributes.get('sel'))

    @property
    def sha256(self) -> str:
        """Digest of the model file."""
        return str(self.base.attributes.get('sha256'))

    def open_model(self) -> AbstractContextManager[BinaryIO]:
        """The model file, opened for reading bytes."""
        return cast(AbstractContextManager[BinaryIO], self.base.repository.open(self.model_filename, 'rb'))

    def export(self, path: Any, fileformat: str | None = None, overwrite: bool = False, **kwargs: Any) -> list[str]:
        """Write every file of the potential into a folder, for use outside AiiDA.

        :param path: folder, made if missing.
        :param fileformat: ignored, the files are written as they are.
        :param overwrite: replace files of the same name.
        :param kwargs: ignored.
        :return: paths of the files written.
        :raises OSError: if a file exists and overwrite is false, or would lie outside of the folder.
        """
        folder, written = Path(path), []
        for root, _, names in self.base.repository.walk():
            for name in names:
                target = folder / root / name
                if not target.resolve().is_relative_to(folder.resolve()):
                    raise OSError(f'{target} lies outside of {folder}: do not use this potential.')
                if target.exists() and not overwrite:
                    raise OSError(f'{target} exists; choose another folder or overwrite.')
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.base.repository.get_object_content(str(root / name), 'rb'))
                written.append(str(target))
        return written
