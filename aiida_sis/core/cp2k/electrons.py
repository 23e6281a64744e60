"""The electrons of a level of theory: CP2K treats an odd number of them with spin only, and says so when it runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ase.data import atomic_numbers

# GFN1-xTB has the f electrons of lanthanides in the core; of all other elements the core is a full shell.
_LANTHANIDES = range(57, 72)
_SPIN = ('UKS', 'LSD', 'UNRESTRICTED_KOHN_SHAM', 'SPIN_POLARIZED', 'ROKS', 'RESTRICTED_OPEN_KOHN_SHAM')
_PSEUDOPOTENTIAL_METHODS = ('GPW', 'GAPW', 'GAPW_XC', 'LRIGPW', 'RIGPW')


def check_electrons(
    parameters: Mapping[str, Any], symbols: Iterable[str], elsewhere: Collection[str] = ()
) -> str | None:
    """Find electrons that CP2K refuses or takes otherwise than asked: an odd number without spin, the multiplicity.

    With smearing CP2K takes an odd number without spin. Where the electrons can't be counted nothing is refused.

    :param parameters: CP2K input tree.
    :param symbols: chemical symbol of each atom.
    :param elsewhere: elements whose potential comes in another way (aiida-cp2k's `pseudos`).
    :returns: one sentence that names the number and the remedy, or None.
    """
    force_eval = _upper(parameters).get('FORCE_EVAL')
    if not isinstance(force_eval, dict) or not isinstance(force_eval.get('DFT', {}), dict):
        return None
    dft = force_eval.get('DFT', {})
    for name in ('CHARGE', 'MULTIPLICITY', 'MULTIP'):
        if re.fullmatch(r'[+-]?\d*\.\d*', str(dft.get(name))):
            return f'FORCE_EVAL/DFT/{name} is {dft[name]}, but CP2K wants a whole number there: give one.'
    multiplicity = _whole(dft.get('MULTIPLICITY', dft.get('MULTIP', 0)))
    spin = any(_is_on(dft[name]) for name in _SPIN if name in dft)
    n_electrons = _count(force_eval, dft, Counter(symbols), elsewhere)
    if multiplicity and multiplicity > 1 and not spin and not (n_electrons or 0) % 2:
        return (
            f'The level of theory has MULTIPLICITY {multiplicity}, which CP2K passes over without spin: set UKS true '
            'in FORCE_EVAL/DFT of cp2k.cp2k.parameters, or leave MULTIPLICITY out.'
        )
    if n_electrons is None:
        return None
    if spin:
        if not multiplicity or (n_electrons + multiplicity) % 2:
            return None
        return (
            f'The level of theory has {_number(n_electrons)} of electrons and MULTIPLICITY {multiplicity}, which do '
            'not go together: leave MULTIPLICITY out of FORCE_EVAL/DFT of cp2k.cp2k.parameters, or make it '
            f'{"even" if n_electrons % 2 else "odd"}.'
        )
    scf = dft.get('SCF')
    if n_electrons % 2 == 0 or (isinstance(scf, dict) and 'SMEAR' in scf and _is_on(scf['SMEAR'])):
        return None
    return (
        f'The level of theory has {_number(n_electrons)} of electrons, which CP2K treats with spin only: set UKS true '
        'in FORCE_EVAL/DFT of cp2k.cp2k.parameters, or change the structure or CHARGE by one electron.'
    )


def _number(n_electrons: int) -> str:
    return f'an {"odd" if n_electrons % 2 else "even"} number'


def _count(
    force_eval: dict[str, Any], dft: dict[str, Any], atoms: Counter[str], elsewhere: Collection[str]
) -> int | None:
    """Count the electrons, of xTB up to full shells; None where they can't be counted."""
    if str(force_eval.get('METHOD', 'QUICKSTEP')).upper() not in ('QUICKSTEP', 'QS'):
        return None
    qs = dft.get('QS', {})
    method = str(qs.get('METHOD', 'GPW')).upper() if isinstance(qs, dict) else ''
    charge = _whole(dft.get('CHARGE', 0))
    if charge is None or any(symbol not in atomic_numbers for symbol in atoms):
        return None
    if method == 'XTB':
        numbers = {symbol: atomic_numbers[symbol] for symbol in atoms}
        if any(number in _LANTHANIDES for number in numbers.values()):
            return None
        return sum(numbers[symbol] * count for symbol, count in atoms.items()) - charge
    if method not in _PSEUDOPOTENTIAL_METHODS:
        return None
    kinds = _valences(force_eval)
    found = {symbol: None if symbol in elsewhere else kinds.get(symbol, kinds.get('Default')) for symbol in atoms}
    if any(valence is None for valence in found.values()):
        return None
    return sum((found[symbol] or 0) * count for symbol, count in atoms.items()) - charge


def _valences(force_eval: dict[str, Any]) -> dict[str, int | None]:
    """Electrons of each element by the names of the potentials in its KIND sections, None where they say nothing."""
    subsys = force_eval.get('SUBSYS', {})
    kinds = subsys.get('KIND', []) if isinstance(subsys, dict) else []
    found: dict[str, int | None] = {}
    for kind in [kinds] if isinstance(kinds, dict) else kinds:
        if not isinstance(kind, dict):
            continue
        symbol = re.sub(r'[^A-Za-z].*', '', str(kind.get('ELEMENT', kind.get('_', '')))).capitalize()
        valence = _valence(symbol, kind)
        found[symbol] = valence if found.get(symbol, valence) == valence else None
    return found


def _valence(symbol: str, kind: dict[str, Any]) -> int | None:
    """Electrons of an atom by the name of its potential: `GTH-PBE-q3` has 3, `ALL` has them all."""
    potential = str(kind.get('POTENTIAL', ''))
    charge = re.search(r'-q(\d+)\b', potential)
    if 'GHOST' in kind or 'CORE_CORRECTION' in kind:
        return None
    if charge:
        return int(charge.group(1))
    return atomic_numbers.get(symbol) if potential.split()[-1:] in (['ALL'], ['ALLELECTRON']) else None


def _whole(value: Any) -> int | None:
    """Read a whole number, None where it is none."""
    return int(value) if re.fullmatch(r'[+-]?\d+', str(value).strip()) else None


def _is_on(value: Any) -> bool:
    """Whether a keyword or a section with a switch is on; CP2K reads one without a value as on."""
    if isinstance(value, Mapping):
        return _is_on(value.get('_', True))
    return str('' if value is None else value).strip('. ').upper() not in ('F', 'FALSE', 'OFF', 'NO')


def _upper(value: Any) -> Any:
    """Write the keys of a tree in capitals, as CP2K reads them."""
    if isinstance(value, Mapping):
        return {str(key).upper(): _upper(child) for key, child in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_upper(child) for child in value]
    return value
