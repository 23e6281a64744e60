r"""How many molecules of salt and solvent fill a volume, and what concentration that is.

A cell of a few hundred atoms holds one or two formula units of salt, so the numbers are rounded and the concentration
that comes out differs from the one asked for. Both are reported.

The density of an electrolyte that nobody has measured follows here from one apparent molar volume :math:`V` of the
salt,

.. math:: \rho(c) = \rho_0 + c \, (M - \rho_0 V),

with the density :math:`\rho_0` of the solvent, the molar mass :math:`M` of the salt and the concentration :math:`c`.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy import constants

from aiida_deepmd.settings import at_least, at_most

# mol/L in one formula unit per Å³, and g/cm³ in one g/mol per Å³.
MOLAR_PER_INVERSE_ANGSTROM3 = 1e27 / float(constants.N_A)
GRAM_PER_CM3_PER_DALTON_PER_ANGSTROM3 = 1e24 / float(constants.N_A)


@dataclass(frozen=True)
class Solution:
    """A salt in a solvent.

    :param salt_mass: molar mass of the salt, in g/mol.
    :param solvent_mass: molar mass of the solvent, in g/mol.
    :param solvent_density: density of the pure solvent, in g/cm³.
    :param salt_volume: apparent molar volume of the salt, in cm³/mol.
    """

    salt_mass: float
    solvent_mass: float
    solvent_density: float
    salt_volume: float

    def density_at(self, concentration: float) -> float:
        """Estimate the density at a concentration.

        :param concentration: in mol/L.
        :returns: the density, in g/cm³.
        """
        return self.solvent_density + concentration / 1000 * (self.salt_mass - self.solvent_density * self.salt_volume)

    @property
    def highest_concentration(self) -> float:
        """The concentration of the salt without any solvent, in mol/L."""
        return 1000 / self.salt_volume

    def molarity(self, n_salt: int, volume: float) -> float:
        """Give the concentration of a cell.

        :param n_salt: number of formula units of salt.
        :param volume: in Å³.
        :returns: in mol/L.
        """
        return n_salt / volume * MOLAR_PER_INVERSE_ANGSTROM3

    def density(self, n_salt: int, n_solvent: int, volume: float) -> float:
        """Give the density of a cell.

        :param n_salt: number of formula units of salt.
        :param n_solvent: number of molecules of solvent.
        :param volume: in Å³.
        :returns: in g/cm³.
        """
        mass = n_salt * self.salt_mass + n_solvent * self.solvent_mass
        return mass / volume * GRAM_PER_CM3_PER_DALTON_PER_ANGSTROM3

    def room(self, n_salt: int, n_solvent: int) -> float:
        """Give the volume that a mixture takes of its own accord.

        :param n_salt: number of formula units of salt.
        :param n_solvent: number of molecules of solvent.
        :returns: in Å³.
        """
        molar = n_salt * self.salt_volume + n_solvent * self.solvent_mass / self.solvent_density
        return molar * GRAM_PER_CM3_PER_DALTON_PER_ANGSTROM3

    def fill(self, concentration: float, volume: float, density: float | None = None) -> tuple[int, int]:
        """Find the numbers of salt and solvent that come nearest to a concentration and a density.

        The salt is rounded first; the solvent then makes up the mass.

        :param concentration: in mol/L, above 0.
        :param volume: in Å³, above 0.
        :param density: in g/cm³; by default :meth:`density_at` of the concentration.
        :returns: the number of formula units of salt and of molecules of solvent.
        :raises ValueError: if a value is not positive, the volume holds less than half a formula unit, or the salt
            alone is heavier than the density allows.
        """
        for name, value, unit in (('concentration', concentration, 'mol/L'), ('volume', volume, 'Å³')):
            if not 0 < value < float('inf'):
                raise ValueError(f'The {name} is {value:g} {unit}: give one above 0.')
        if density is None:
            if concentration > self.highest_concentration:
                raise ValueError(
                    f'The concentration {concentration:g} mol/L leaves no room for solvent: '
                    f'stay below {at_most(self.highest_concentration, 1)} mol/L.'
                )
            density = self.density_at(concentration)
        elif not 0 < density < float('inf'):
            raise ValueError(f'The density is {density:g} g/cm³: give one above 0.')
        wanted = concentration * volume / MOLAR_PER_INVERSE_ANGSTROM3
        if wanted < 0.5:
            needed = 0.5 * MOLAR_PER_INVERSE_ANGSTROM3
            larger = needed / concentration
            raise ValueError(
                f'A volume of {volume:.0f} Å³ holds {wanted:.2f} formula units at {concentration:g} mol/L: make it '
                f'{at_least(larger, 0)} Å³ (a cube of {at_least(larger ** (1 / 3), 1)} Å) or larger, or ask for '
                f'{at_least(needed / volume, 2)} mol/L or more.'
            )
        n_salt = round(wanted)
        mass = density * volume / GRAM_PER_CM3_PER_DALTON_PER_ANGSTROM3
        n_solvent = round((mass - n_salt * self.salt_mass) / self.solvent_mass)
        if n_solvent < 0:
            raise ValueError(
                f'The density {density:g} g/cm³ is too low for {concentration:g} mol/L: the salt alone is '
                f'{self.density(n_salt, 0, volume):.2f} g/cm³. Raise the density or lower the concentration.'
            )
        return n_salt, n_solvent
