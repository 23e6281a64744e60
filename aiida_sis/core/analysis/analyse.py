"""Everything about one trajectory, in one pass over its frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import Field, model_validator

from aiida_deepmd.arrays import FloatArray, IntArray
from aiida_deepmd.settings import StrictModel
from aiida_sis.core.analysis.bonds import PERSISTENCE_FS, BondHistory, BondTracker
from aiida_sis.core.analysis.neighbours import NeighbourSearch, shortest_height
from aiida_sis.core.analysis.rdf import RdfAccumulator, Rdfs
from aiida_sis.core.analysis.rules import CONTACT_CUTOFFS, COVALENT_CUTOFFS, BondRules
from aiida_sis.core.analysis.species import Aggregates, Census, aggregates, census
from aiida_sis.core.analysis.topology import Topology, find_molecules
from aiida_sis.core.analysis.trajectory import Trajectory
from aiida_sis.core.analysis.transport import (
    DensityAccumulator,
    DensityProfile,
    Diffusion,
    diffusion_coefficient,
    mean_square_displacement,
    unwrap,
)
from aiida_sis.core.settings.base import Integer, NotNegative, Number, Positive

#: Longest distance of the radial distribution functions in Å, where the cell is large enough.
_R_MAX = 6.0
#: By which part of the spacing a frame may lie off its place in time: times are written with few digits.
_SPACING = 1e-3


class AnalysisSettings(StrictModel):
    """What is analysed, and how."""

    r_max: Positive | None = None
    """Longest distance of g(r), in Å; None: 6 Å, or half of the cell if that is shorter."""
    bin_width: Positive = 0.05
    """Width of a bin of g(r), in Å."""
    persistence_fs: NotNegative = PERSISTENCE_FS
    """How long a bond must stay broken or formed to count, in fs."""
    covalent: dict[str, Number] = Field(default_factory=dict)
    """Largest length of a bond by pair, in Å, over the usual ones."""
    contacts: dict[str, Number] = Field(default_factory=dict)
    """Largest distance of a contact of a metal by pair, in Å, over the usual ones."""
    form_factor: Number = Field(default=0.95, gt=0, le=1)
    """A bond forms below this factor times its largest length."""
    break_factor: Number = Field(default=1.2, ge=1)
    """A bond breaks above this factor times its largest length."""
    skip_fs: NotNegative = 0.0
    """Start of the trajectory that is left out, in fs."""
    diffusion: tuple[str, ...] | None = None
    """Kinds whose displacement is followed; None: every kind."""
    n_blocks: Integer = Field(default=5, ge=2)
    """Blocks that the error of a diffusion coefficient comes from."""
    density_axis: Integer | None = Field(default=None, ge=0, le=2)
    """0, 1 or 2: the density is averaged across this axis; None: no profile."""
    density_reference: str | None = None
    """Kind whose centre is put at zero, Li for a slab; None: the cell's own origin."""
    density_bin_width: Positive = 0.5
    """Width of a bin of the density, in Å."""

    @model_validator(mode='after')
    def _pairs_of_elements(self) -> AnalysisSettings:
        _ = self.rules
        return self

    @property
    def rules(self) -> BondRules:
        """The cutoffs of bonds and contacts."""
        return BondRules(
            covalent={**COVALENT_CUTOFFS, **self.covalent},
            contacts={**CONTACT_CUTOFFS, **self.contacts},
            form=self.form_factor,
            break_=self.break_factor,
        )


@dataclass(frozen=True)
class Analysis:
    """What a trajectory says.

    :param name: of the trajectory.
    :param settings: how it was analysed.
    :param topology: molecules of the structure that names the kinds.
    :param times_fs: time of each frame, (n_frames,), fs.
    :param rdfs: radial distribution functions of all pairs of kinds.
    :param history: bonds and contacts over time.
    :param census: molecules over time; each metal atom alone.
    :param salts: the same with what lithium holds named as its salt.
    :param aggregates: clusters of LiF.
    :param lags_fs: times between the frames on the grid of the trajectory, (n_lags,), fs; empty without ``msd``.
    :param msd: mean square displacement of each kind, (n_lags,), Å².
    :param diffusion: diffusion coefficient of each kind; none of them where the trajectory is too short.
    :param density: densities across an axis, if they were asked for.
    """

    name: str
    settings: AnalysisSettings
    topology: Topology
    times_fs: FloatArray
    rdfs: Rdfs
    history: BondHistory
    census: Census
    salts: Census
    aggregates: Aggregates
    lags_fs: FloatArray
    msd: dict[str, FloatArray]
    diffusion: dict[str, Diffusion]
    density: DensityProfile | None


def read_analysis_settings(values: Mapping[str, Any]) -> AnalysisSettings:
    """Read the settings of an analysis.

    :param values: the plain dictionary.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    return AnalysisSettings.read(values, 'analysis parameters')


def analyse(trajectory: Trajectory, settings: AnalysisSettings | None = None, start: Atoms | None = None) -> Analysis:
    """Analyse a trajectory in one pass over its frames.

    Held in memory is one frame, and the positions of the kinds whose displacement is followed, in single precision.

    :param trajectory: the frames.
    :param settings: the usual ones if None.
    :param start: the structure whose molecules name the kinds, such as the one before any reaction; None: the first
        frame.
    :raises ValueError: if there is no frame, the start has other atoms, or a setting does not fit.
    """
    settings = settings or AnalysisSettings()
    used = trajectory.times_fs >= settings.skip_fs
    if not used.any():
        raise ValueError(
            f'No frame of {trajectory.name} is later than skip_fs, {settings.skip_fs:g} fs: it ends at '
            f'{trajectory.times_fs.max(initial=0.0):g} fs.'
        )
    topology = _topology(trajectory, settings, start)
    kinds = topology.kinds
    followed = _followed(kinds, settings)
    collected = _Pass(trajectory, settings, kinds, np.flatnonzero(np.isin(kinds, followed)))
    for (positions, cell), time_fs, wanted in zip(trajectory.read(), trajectory.times_fs, used, strict=True):
        if wanted:
            collected.add(time_fs, positions, cell)
    history = collected.bonds.result()
    lags_fs, msd, diffusion = _transport(collected, kinds, followed, history.times_fs, settings.n_blocks)
    return Analysis(
        name=trajectory.name,
        settings=settings,
        topology=topology,
        times_fs=history.times_fs,
        rdfs=collected.rdf.result(),
        history=history,
        census=census(history),
        salts=census(history, lithium=True),
        aggregates=aggregates(history),
        lags_fs=lags_fs,
        msd=msd,
        diffusion=diffusion,
        density=collected.density.result() if collected.density else None,
    )


class _Pass:
    """What is collected while the frames go by."""

    def __init__(
        self, trajectory: Trajectory, settings: AnalysisSettings, kinds: tuple[str, ...], followed: IntArray
    ) -> None:
        _, cell = trajectory.first()
        width = settings.bin_width
        r_max = settings.r_max or min(_R_MAX, np.floor(shortest_height(cell) / 2 / width) * width)
        n_bins = max(1, round(r_max / width))
        self.rdf = RdfAccumulator(kinds, r_max, n_bins)
        self.bonds = BondTracker(trajectory.symbols, settings.rules, settings.persistence_fs)
        self.search = NeighbourSearch(max(r_max, self.bonds.reach))
        self.density: DensityAccumulator | None = None
        if settings.density_axis is not None:
            height = 1.0 / float(np.linalg.norm(np.linalg.inv(cell)[:, settings.density_axis]))
            n_layers = max(1, round(height / settings.density_bin_width))
            self.density = DensityAccumulator(kinds, n_layers, settings.density_axis, settings.density_reference)
        self.followed = followed
        self.paths: list[NDArray[np.float32]] = []
        self._last: tuple[FloatArray, FloatArray] | None = None

    def add(self, time_fs: float, positions: FloatArray, cell: FloatArray) -> None:
        """Add one frame."""
        first, second, distance = self.search.pairs(positions, cell)
        self.rdf.add(cell, first, second, distance)
        self.bonds.add(time_fs, first, second, distance)
        if self.density:
            self.density.add(positions, cell)
        if len(self.followed):
            # Steps and not positions: single precision of a path that has gone far would be poor.
            now = positions[self.followed]
            before, old_cell = self._last or (now, cell)
            self.paths.append((unwrap(np.stack([before, now]), np.stack([old_cell, cell]))[1] - before).astype('f4'))
            self._last = now, cell


def _topology(trajectory: Trajectory, settings: AnalysisSettings, start: Atoms | None) -> Topology:
    if start is None:
        positions, cell = trajectory.first()
        start = Atoms(trajectory.symbols, positions, cell=cell, pbc=True)
    elif tuple(start.get_chemical_symbols()) != trajectory.symbols:
        raise ValueError(
            f'The start structure is {start.get_chemical_formula()}, but the trajectory has other atoms or another '
            'order of them: give the structure that it was started from.'
        )
    return find_molecules(start, settings.rules)


def _followed(kinds: tuple[str, ...], settings: AnalysisSettings) -> list[str]:
    known = sorted(set(kinds))
    wanted = known if settings.diffusion is None else list(settings.diffusion)
    for kind in wanted:
        if kind not in known:
            raise ValueError(f"There is no kind '{kind}' to follow; there are {', '.join(known)}.")
    return wanted


def frames_on_grid(times_fs: FloatArray) -> IntArray:
    """Find the frames that are equally far in time, whatever lies between them.

    An MD that was halted, that went on after its time limit, or whose length is no multiple of its spacing has a last
    frame off the grid of the others.

    :param times_fs: time of each frame, ascending, (n_frames,), fs.
    :returns: numbers of the frames on the grid of the usual spacing, (n,); none where the grid has holes.
    """
    steps = np.diff(times_fs)
    if not len(steps) or np.allclose(steps, steps[0], rtol=_SPACING):
        return np.arange(len(times_fs))
    found, counts = np.unique(np.round(steps, 3), return_counts=True)
    spacing = float(found[::-1][np.argmax(counts[::-1])])  # of several, the widest
    first = int(np.argmax(np.isclose(steps, spacing, rtol=_SPACING, atol=0)))
    places = (times_fs - times_fs[first]) / spacing
    on_grid = np.flatnonzero(np.abs(places - np.rint(places)) < _SPACING)
    whole = bool((np.diff(np.rint(places[on_grid])) == 1).all())
    return on_grid if whole and len(on_grid) > len(times_fs) // 2 else np.zeros(0, dtype=np.int64)


def _transport(
    collected: _Pass, kinds: tuple[str, ...], followed: list[str], times_fs: FloatArray, n_blocks: int
) -> tuple[FloatArray, dict[str, FloatArray], dict[str, Diffusion]]:
    """Displacements of each kind over the frames that are equally far in time."""
    msd: dict[str, FloatArray] = {}
    diffusion: dict[str, Diffusion] = {}
    grid = frames_on_grid(times_fs)
    if len(grid) < 2 or not collected.paths:
        return np.zeros(0), msd, diffusion
    lags_fs = times_fs[grid] - times_fs[grid[0]]
    moves = np.array(collected.paths)
    labels = np.array(kinds)[collected.followed]
    for kind in followed:
        path = np.cumsum(moves[:, labels == kind], axis=0, dtype=np.float64)[grid]
        msd[kind] = mean_square_displacement(path)
        if len(path) >= 20 * n_blocks:
            diffusion[kind] = diffusion_coefficient(path, float(lags_fs[1]) * 1e-3, n_blocks=n_blocks)
    return lags_fs, msd, diffusion
