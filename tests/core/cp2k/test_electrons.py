"""An odd number of electrons is refused where CP2K would refuse it, and nowhere else."""

from __future__ import annotations

import pytest

from aiida_sis.core.cp2k.electrons import check_electrons

METHYL, LITHIUM = ['C', 'H', 'H', 'H'], ['Li'] * 91
KINDS = [
    {'_': 'Li', 'POTENTIAL': 'GTH-PBE-q3'},
    {'_': 'C', 'POTENTIAL': 'GTH-PBE-q4'},
    {'_': 'H1', 'ELEMENT': 'H', 'POTENTIAL': 'GTH GTH-PBE-q1'},
]


def xtb(**dft) -> dict:
    """GFN1-xTB with keywords of DFT."""
    return {'FORCE_EVAL': {'METHOD': 'Quickstep', 'DFT': {'QS': {'METHOD': 'XTB'}, **dft}}}


def pbe(kinds=KINDS, **dft) -> dict:
    """PBE with keywords of DFT."""
    return {'FORCE_EVAL': {'DFT': dft, 'SUBSYS': {'KIND': kinds}}}


@pytest.mark.parametrize(
    ('parameters', 'symbols', 'words'),
    [
        (xtb(), METHYL, 'an odd number of electrons'),
        (xtb(CHARGE=1), METHYL, None),
        (xtb(CHARGE=-1), ['C', 'H', 'H', 'H', 'H'], 'set UKS true'),
        (xtb(UKS=True), METHYL, None),
        (xtb(UKS=False), METHYL, 'set UKS true'),
        (xtb(LSD='.TRUE.'), METHYL, None),
        (xtb(ROKS='T'), METHYL, None),
        (xtb(UKS=True, MULTIPLICITY=2), METHYL, None),
        (xtb(UKS=True, MULTIPLICITY=1), METHYL, 'make it even'),
        (xtb(UKS=True, MULTIPLICITY=2), ['Li', 'F'], 'make it odd'),
        # CP2K 2023.1 computes water of MULTIPLICITY 3 as a singlet, and stops at a CHARGE of 1.0
        (xtb(MULTIPLICITY=3), ['O', 'H', 'H'], 'MULTIPLICITY 3, which CP2K passes over without spin: set UKS true'),
        (xtb(UKS=True, MULTIPLICITY=3), ['O', 'H', 'H'], None),
        (xtb(MULTIPLICITY=1), ['O', 'H', 'H'], None),
        (xtb(MULTIPLICITY=2), METHYL, 'an odd number of electrons'),
        (xtb(CHARGE=1.0), METHYL, 'CHARGE is 1.0, but CP2K wants a whole number'),
        (xtb(CHARGE='0.5'), METHYL, 'CHARGE is 0.5, but CP2K wants a whole number'),
        (xtb(), ['Li', 'F'], None),
        (xtb(), ['Sc', 'F'], None),
        (xtb(), ['Ag', 'F', 'F'], 'odd'),
        (xtb(), ['Ce', 'F', 'F', 'F'], None),
        (pbe(), METHYL, 'odd'),
        (pbe(), LITHIUM, 'odd'),
        (pbe(UKS=True), LITHIUM, None),
        (pbe(SCF={'SMEAR': {'METHOD': 'FERMI_DIRAC'}}), LITHIUM, None),
        (pbe(SCF={'SMEAR': {'_': 'OFF'}}), LITHIUM, 'odd'),
        (pbe([{'_': 'Li', 'POTENTIAL': 'GTH-PBE-q1'}]), LITHIUM, 'odd'),
        (pbe({'_': 'DEFAULT', 'POTENTIAL': 'ALL'}), ['Li'], None),
        (pbe([{'_': 'H', 'POTENTIAL': 'ALL'}]), ['H'], 'odd'),
        (pbe([{'_': 'Li', 'POTENTIAL': 'GTH-PBE'}]), LITHIUM, None),
        (pbe([{'_': 'Li1', 'POTENTIAL': 'X-q3'}, {'_': 'Li2', 'POTENTIAL': 'X-q1'}]), LITHIUM, None),
        ({'force_eval': {'dft': {'qs': {'method': 'xtb'}, 'uks': True}}}, METHYL, None),
        ({'force_eval': {'dft': {'qs': {'method': 'xtb'}}}}, METHYL, 'odd'),
        ({'FORCE_EVAL': {'METHOD': 'FIST'}}, ['Na'], None),
        ({'FORCE_EVAL': {'DFT': {'QS': {'METHOD': 'PM6'}}}}, METHYL, None),
        ({'FORCE_EVAL': {'DFT': {'QS': {'METHOD': 'OFGPW'}}}}, METHYL, None),
        ({'GLOBAL': {}}, METHYL, None),
    ],
)
def test_check_electrons(parameters, symbols, words):
    """Charge, multiplicity, potentials, switches and methods; what can't be counted is not refused."""
    problem = check_electrons(parameters, symbols)
    assert problem is None if words is None else words in problem


def test_potentials_that_come_as_nodes_are_not_counted():
    """Their electrons are in the nodes."""
    assert check_electrons(pbe(), METHYL, ['C']) is None
