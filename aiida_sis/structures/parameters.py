"""The parameters of the builders, checked before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aiida_deepmd.settings import at_least, one_sentence

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
WholeNumber = Annotated[int, Field(ge=0)]


class Parameters(BaseModel):
    """A model that refuses keys it does not know."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class BulkParameters(Parameters):
    """Bulk lithium: a bcc supercell, or ``n_atoms`` at random in a cube of ``cell_angstrom``.

    :param repeat: number of cubic cells along each edge.
    :param lattice_parameter_angstrom: of bcc lithium.
    :param rattle_angstrom: standard deviation of a random displacement along each axis.
    :param n_atoms: number of atoms of the disordered metal.
    :param cell_angstrom: edge of the cube of the disordered metal.
    """

    repeat: Count = 3
    lattice_parameter_angstrom: Positive = 3.51
    rattle_angstrom: NotNegative = 0.0
    n_atoms: Count | None = None
    cell_angstrom: Positive | None = None

    @model_validator(mode='after')
    def _both_or_none(self) -> BulkParameters:
        if (self.n_atoms is None) != (self.cell_angstrom is None):
            raise ValueError("Disordered lithium needs both 'n_atoms' and 'cell_angstrom': give the other one too.")
        return self


class SlabParameters(Parameters):
    """A lithium slab with (100) faces.

    :param repeat: number of surface cells along x and y.
    :param layers: number of atomic layers.
    :param lattice_parameter_angstrom: of bcc lithium.
    :param vacuum_angstrom: distance from the upper face to the lower face of the image.
    :param fixed_layers: number of layers at the bottom whose atoms are reported as ``fixed_atoms``.
    """

    repeat: Count = 3
    layers: Count = 6
    lattice_parameter_angstrom: Positive = 3.51
    vacuum_angstrom: Positive = 15.0
    fixed_layers: WholeNumber = 0

    @model_validator(mode='after')
    def _enough_layers(self) -> SlabParameters:
        _refuse_fixed(self.fixed_layers, self.layers)
        return self


class _Solution(Parameters):
    """LiFSI in DOL by concentration, or by numbers.

    :param concentration_molar: of LiFSI, in mol/L.
    :param density_g_cm3: of the electrolyte; by default estimated from the concentration.
    :param n_lifsi: number of ion pairs, in place of the concentration.
    :param n_dol: number of solvent molecules, in place of the concentration.
    """

    concentration_molar: Positive | None = None
    density_g_cm3: Positive | None = None
    n_lifsi: WholeNumber | None = None
    n_dol: WholeNumber | None = None

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
    """LiFSI in DOL in a cube; see also the concentration or the numbers.

    :param cell_angstrom: edge of the cube.
    """

    cell_angstrom: Positive = 15.0

    @property
    def volume(self) -> float:
        """Volume of the electrolyte, in Å³."""
        return self.cell_angstrom**3


class InterfaceParameters(_Solution):
    """A lithium slab under LiFSI in DOL; see also the concentration or the numbers.

    :param repeat: number of surface cells along x and y; the cell fits them.
    :param layers: number of atomic layers.
    :param lattice_parameter_angstrom: of bcc lithium; the default is that of the paper's cells.
    :param spacing_angstrom: distance from face to face through the electrolyte.
    :param cell_z_angstrom: length of the cell along z, in place of the spacing.
    :param gap_angstrom: distance that the electrolyte keeps from each face.
    :param fixed_layers: number of layers at the bottom whose atoms are reported as ``fixed_atoms``.
    """

    repeat: Count = 3
    layers: Count = 6
    lattice_parameter_angstrom: Positive = 3.49
    spacing_angstrom: Positive | None = None
    cell_z_angstrom: Positive | None = None
    gap_angstrom: Annotated[float, Field(ge=2.0, allow_inf_nan=False)] = 2.5
    fixed_layers: WholeNumber = 0

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


class SaltParameters(Parameters):
    """Rock salt.

    :param repeat: number of cubic cells along each edge.
    :param lattice_parameter_angstrom: of NaCl.
    :param density_g_cm3: in place of the lattice parameter.
    :param rattle_angstrom: standard deviation of a random displacement along each axis.
    """

    repeat: Count = 2
    lattice_parameter_angstrom: Positive | None = None
    density_g_cm3: Positive | None = None
    rattle_angstrom: NotNegative = 0.0

    @model_validator(mode='after')
    def _one_size(self) -> SaltParameters:
        if self.lattice_parameter_angstrom is not None and self.density_g_cm3 is not None:
            raise ValueError("Both 'lattice_parameter_angstrom' and 'density_g_cm3' are given: leave one out.")
        return self


class ClusterParameters(Parameters):
    """An LiFSI ion pair on a patch of lithium.

    :param n_lithium: number of metal atoms.
    :param lattice_parameter_angstrom: of bcc lithium.
    :param distance_angstrom: the nearest that N, S, O and F come to the metal.
    :param cell_angstrom: edge of the cube.
    :param allow_odd: whether an odd number of electrons is meant.
    """

    n_lithium: Annotated[int, Field(ge=4, le=9)] = 6
    lattice_parameter_angstrom: Positive = 3.51
    distance_angstrom: Annotated[float, Field(ge=2.0, le=4.0, allow_inf_nan=False)] = 2.2
    cell_angstrom: Positive = 12.0
    allow_odd: bool = False

    @model_validator(mode='after')
    def _even(self) -> ClusterParameters:
        if self.n_lithium % 2 and not self.allow_odd:
            raise ValueError(
                f'{self.n_lithium} lithium atoms beside LiFSI make an odd number of electrons, which a closed-shell '
                "calculation cannot hold: take an even number, or set 'allow_odd' and label with an unrestricted one."
            )
        return self


ModelT = TypeVar('ModelT', bound=Parameters)


def read_parameters(model: type[ModelT], values: Mapping[str, Any], builder: str) -> ModelT:
    """Read the parameters of a builder.

    :param model: the parameters that it has.
    :param values: the plain dictionary.
    :param builder: its name, for the sentence.
    :returns: the parameters, typed.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as exception:
        raise ValueError(one_sentence(exception, model, f'{builder} parameters')) from None


def _refuse_fixed(fixed_layers: int, layers: int) -> None:
    if fixed_layers > layers:
        raise ValueError(f'{fixed_layers} layers are to be fixed, but the slab has {layers}: fix that many at most.')
