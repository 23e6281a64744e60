"""Numbers of molecules from concentration and density."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aiida_sis.structures.composition import MOLAR_PER_INVERSE_ANGSTROM3, Solution

LIFSI_DOL = Solution(salt_mass=187.07, solvent_mass=74.08, solvent_density=1.06, salt_volume=85.0)
# One molecule in 1 Å³ is 1660.54 mol/L.
HALF_SOLVENT = 0.5 * 74.08 / 0.602214


def test_a_litre() -> None:
    """One mole per litre is 0.6022 formula units per nm³, and water-like mass gives g/cm³."""
    assert LIFSI_DOL.molarity(6022, 1e7) == pytest.approx(1.0, rel=1e-4)
    water = Solution(salt_mass=58.44, solvent_mass=18.015, solvent_density=0.997, salt_volume=16.6)
    # 33.3 molecules of water in 1 nm³
    assert water.density(0, 333, 1e4) == pytest.approx(0.996, abs=2e-3)


def test_density_of_the_mixture() -> None:
    """Pure solvent at one end, pure salt at the other."""
    assert LIFSI_DOL.density_at(0) == 1.06
    top = LIFSI_DOL.highest_concentration
    assert LIFSI_DOL.density_at(top) == pytest.approx(187.07 / 85.0)


@pytest.mark.parametrize(
    ('concentration', 'volume', 'expected'),
    [
        (1, 15.0**3, (2, 27)),
        (4, 15.0**3, (8, 20)),
        (10, 15.0**3, (20, 5)),
        (1, 20.0**3, (5, 63)),
        # The room between the faces of the paper's slab: its own numbers come out.
        (1, 10.47**2 * 15.5, (1, 13)),
        (10, 10.47**2 * 15.5, (10, 3)),
    ],
)
def test_cells(concentration: float, volume: float, expected: tuple[int, int]) -> None:
    """The cells of a few hundred atoms that an AIMD can carry."""
    assert LIFSI_DOL.fill(concentration, volume) == expected


@given(concentration=st.floats(0.05, 10.0), edge=st.floats(12.0, 60.0))
def test_nearest_numbers(concentration: float, edge: float) -> None:
    """No other whole numbers come nearer to the concentration, nor to the density with that salt."""
    volume = edge**3
    assume(concentration * volume / MOLAR_PER_INVERSE_ANGSTROM3 >= 0.5)
    n_salt, n_solvent = LIFSI_DOL.fill(concentration, volume)
    off = abs(LIFSI_DOL.molarity(n_salt, volume) - concentration)
    for other in (n_salt - 1, n_salt + 1):
        assert off <= abs(LIFSI_DOL.molarity(other, volume) - concentration) + 1e-9
    density = LIFSI_DOL.density(n_salt, n_solvent, volume)
    assert abs(density - LIFSI_DOL.density_at(concentration)) <= HALF_SOLVENT / volume * 1.0001
    assert n_salt >= 1
    assert n_solvent >= 0


def test_room() -> None:
    """What the estimated density fills, the mixture takes."""
    volume = 20.0**3
    assert LIFSI_DOL.room(*LIFSI_DOL.fill(4, volume)) == pytest.approx(volume, rel=0.02)
    assert LIFSI_DOL.room(10, 0) == pytest.approx(10 * 85 / 0.602214, rel=1e-5)


def test_given_density() -> None:
    """A density that is given sets the solvent."""
    n_salt, n_solvent = LIFSI_DOL.fill(1, 15.0**3, density=0.90)
    assert (n_salt, n_solvent) == (2, 20)
    assert LIFSI_DOL.density(n_salt, n_solvent, 15.0**3) == pytest.approx(0.90, abs=0.02)


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ((0.1, 3375.0), r'holds 0\.20 formula units at 0\.1 mol/L: make it 8303 Å³ \(a cube of 20\.3 Å\)'),
        ((-1.0, 3375.0), 'concentration is -1 mol/L: give one above 0'),
        ((float('nan'), 3375.0), 'concentration is nan'),
        ((1.0, 0.0), 'volume is 0 Å³'),
        ((12.0, 3375.0), r'leaves no room for solvent: stay below 11\.7 mol/L'),
        ((10.0, 3375.0, 1.2), r'too low for 10 mol/L: the salt alone is 1\.84 g/cm³'),
        ((1.0, 3375.0, -1.0), 'density is -1 g/cm³'),
    ],
)
def test_refused(arguments: tuple[float, ...], words: str) -> None:
    """What cannot be is refused with the remedy."""
    with pytest.raises(ValueError, match=words):
        LIFSI_DOL.fill(*arguments)


def test_the_remedy_works() -> None:
    """The smallest cube that the refusal names is accepted."""
    with pytest.raises(ValueError, match='formula units') as caught:
        LIFSI_DOL.fill(0.1, 3375.0)
    edge = float(str(caught.value).split('a cube of ')[1].split(' Å')[0])
    assert LIFSI_DOL.fill(0.1, (edge + 0.05) ** 3)[0] == 1
