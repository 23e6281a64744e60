"""The parameters of the builders, checked before anything is built."""

from __future__ import annotations

from pydantic import Field, model_validator

from aiida_deepmd.settings import StrictModel, at_least
from aiida_sis.core.settings.base import Count, Flag, Integer, NotNegative, Number, Positive, Whole


class BulkParameters(StrictModel):
    """Bulk lithium: a bcc supercell, or ``n_atoms`` at random in a cube of ``cell_angstrom``."""

    repeat: Count = 3
    """Number of cubic cells along each edge."""
    lattice_parameter_angstrom: Positive = 3.51
    """Lattice parameter of bcc lithium."""
    rattle_angstrom: NotNegative = 0.0
    """Standard deviation of a random displacement along each axis."""
    n_atoms: Count | None = None
    """Number of atoms of the disordered metal."""
    cell_angstrom: Positive | None = None
    """Edge of the cube of the disordered metal."""

    @model_validator(mode='after')
    def _both_or_none(self) -> BulkParameters:
        if (self.n_atoms is None) != (self.cell_angstrom is None):
            raise ValueError("Disordered lithium needs both 'n_atoms' and 'cell_angstrom': give the other one too.")
        return self


class SlabParameters(StrictModel):
    """A lithium slab with (100) faces."""

    repeat: Count = 3
    """Number of surface cells along x and y."""
    layers: Count = 6
    """Number of atomic layers."""
    lattice_parameter_angstrom: Positive = 3.51
    """Lattice parameter of bcc lithium."""
    vacuum_angstrom: Positive = 15.0
    """Distance from the upper face to the lower face of the image."""
    fixed_layers: Whole = 0
    """Number of layers at the bottom whose atoms are reported as ``fixed_atoms``."""

    @model_validator(mode='after')
    def _enough_layers(self) -> SlabParameters:
        _refuse_fixed(self.fixed_layers, self.layers)
        return self


class _Solution(StrictModel):
    """LiFSI in DOL by concentration, or by numbers."""

    concentration_molar: Positive | None = None
    """Concentration of LiFSI, in mol/L."""
    density_g_cm3: Positive | None = None
    """Density of the electrolyte; None: estimated from the concentration."""
    n_lifsi: Whole | None = None
    """Number of ion pairs, in place of the concentration."""
    n_dol: Whole | None = None
    """Number of solvent molecules, in place of the concentration."""

    @model_validator(mode='after')
    def _one_of_two(self) -> _Solution:
        numbers = (self.n_lifsi is not None) + (self.n_dol is not None)
        if numbers == 1:
            raise ValueError("Numbers of molecules need both 'n_lifsi' and 'n_dol': give the other one too.")
        if numbers and (self.concentration_molar or self.density_g_cm3):
            raise ValueError(
                "The numbers 'n_lifsi' and 'n_dol' already fix concentration and density: leave those out."
            )
        if not numbers and self.concentration_molar is None:
            raise ValueError("Give 'concentration_molar', or both 'n_lifsi' and 'n_dol'.")
        if numbers and not self.n_lifsi and not self.n_dol:
            raise ValueError("Both 'n_lifsi' and 'n_dol' are 0: ask for at least one molecule.")
        return self


class ElectrolyteParameters(_Solution):
    """LiFSI in DOL in a cube; see also the concentration or the numbers."""

    cell_angstrom: Positive = 15.0
    """Edge of the cube."""

    @property
    def volume(self) -> float:
        """Volume of the electrolyte, in Å³."""
        return self.cell_angstrom**3


class InterfaceParameters(_Solution):
    """A lithium slab under LiFSI in DOL; see also the concentration or the numbers."""

    repeat: Count = 3
    """Number of surface cells along x and y; the cell fits them."""
    layers: Count = 6
    """Number of atomic layers."""
    lattice_parameter_angstrom: Positive = 3.49
    """Lattice parameter of bcc lithium; the default is that of the paper's cells."""
    spacing_angstrom: Positive | None = None
    """Distance from face to face through the electrolyte."""
    cell_z_angstrom: Positive | None = None
    """Length of the cell along z, in place of the spacing."""
    gap_angstrom: Number = Field(default=2.5, ge=2.0)
    """Distance that the electrolyte keeps from each face."""
    fixed_layers: Whole = 0
    """Number of layers at the bottom whose atoms are reported as ``fixed_atoms``."""

    @property
    def thickness(self) -> float:
        """Distance between the outermost layers of the slab, in Å."""
        return (self.layers - 1) * self.lattice_parameter_angstrom / 2

    @property
    def spacing(self) -> float:
        """Distance from face to face through the electrolyte, in Å."""
        if self.cell_z_angstrom is not None:
            return self.cell_z_angstrom - self.thickness
        return self.spacing_angstrom or 18.0

    @property
    def volume(self) -> float:
        """Volume of the electrolyte, in Å³; each face and the electrolyte share the gap between them evenly."""
        return (self.repeat * self.lattice_parameter_angstrom) ** 2 * (self.spacing - self.gap_angstrom)

    @model_validator(mode='after')
    def _room(self) -> InterfaceParameters:
        _refuse_fixed(self.fixed_layers, self.layers)
        if self.spacing_angstrom is not None and self.cell_z_angstrom is not None:
            raise ValueError("Both 'spacing_angstrom' and 'cell_z_angstrom' are given: leave one out.")
        # A molecule is some 4 Å thick.
        needed = 2 * self.gap_angstrom + 4
        if self.spacing < needed:
            raise ValueError(
                f'The cell is too small for the slab: {self.layers} layers are {self.thickness:.2f} Å thick, which '
                f'leaves {self.spacing:.2f} Å for the electrolyte and its gaps, and {needed:g} Å are needed. Make it '
                f'{at_least(self.thickness + needed, 2)} Å or longer along z, or take fewer layers.'
            )
        return self


class SaltParameters(StrictModel):
    """Rock salt."""

    repeat: Count = 2
    """Number of cubic cells along each edge."""
    lattice_parameter_angstrom: Positive | None = None
    """Lattice parameter of NaCl."""
    density_g_cm3: Positive | None = None
    """Density, in place of the lattice parameter."""
    rattle_angstrom: NotNegative = 0.0
    """Standard deviation of a random displacement along each axis."""

    @model_validator(mode='after')
    def _one_size(self) -> SaltParameters:
        if self.lattice_parameter_angstrom is not None and self.density_g_cm3 is not None:
            raise ValueError("Both 'lattice_parameter_angstrom' and 'density_g_cm3' are given: leave one out.")
        return self


class ClusterParameters(StrictModel):
    """An LiFSI ion pair on a patch of lithium."""

    n_lithium: Integer = Field(default=6, ge=4, le=9)
    """Number of metal atoms."""
    lattice_parameter_angstrom: Positive = 3.51
    """Lattice parameter of bcc lithium."""
    distance_angstrom: Number = Field(default=2.2, ge=2.0, le=4.0)
    """The nearest that N, S, O and F come to the metal."""
    cell_angstrom: Positive = 12.0
    """Edge of the cube."""
    allow_odd: Flag = False
    """Whether an odd number of electrons is meant."""

    @model_validator(mode='after')
    def _even(self) -> ClusterParameters:
        if self.n_lithium % 2 and not self.allow_odd:
            raise ValueError(
                f'{self.n_lithium} lithium atoms beside LiFSI make an odd number of electrons, which a closed-shell '
                "calculation cannot hold: take an even number, or set 'allow_odd' and label with an unrestricted one."
            )
        return self


def _refuse_fixed(fixed_layers: int, layers: int) -> None:
    if fixed_layers > layers:
        raise ValueError(f'{fixed_layers} layers are to be fixed, but the slab has {layers}: fix that many at most.')
