"""The model card: what a potential was trained on, how good it is, and what it must not be trusted with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ('level_in_words', 'write_card')

DOI = '10.1021/acs.jpcc.3c05522'


def level_in_words(tree: Mapping[str, Any]) -> str:
    """Say in a few words what CP2K computes; the whole input is beside the card.

    :param tree: CP2K's input as nested dictionaries.
    :returns: for example ``GFN1-xTB`` or ``PBE with DFT-D3, DZVP-MOLOPT-SR-GTH``.
    """
    force = tree.get('FORCE_EVAL', {})
    if str(force.get('METHOD', '')).upper() == 'FIST':
        return 'a classical force field (CP2K FIST)'
    dft = force.get('DFT', {})
    method = str(dft.get('QS', {}).get('METHOD', 'GPW')).upper()
    if method == 'XTB':
        return 'GFN1-xTB'
    exchange = dft.get('XC', {})
    functional = exchange.get('XC_FUNCTIONAL', {})
    parts = [functional.get('_', '')] if functional.get('_') else [name for name in functional if name.isupper()]
    words = ' + '.join(str(part) for part in parts if part) or method
    pair = exchange.get('VDW_POTENTIAL', {}).get('PAIR_POTENTIAL', {})
    if pair:
        words += f' with {pair.get("TYPE", "a dispersion correction")}'
    kinds = force.get('SUBSYS', {}).get('KIND', [])
    basis = sorted(
        {str(kind['BASIS_SET']) for kind in (kinds if isinstance(kinds, list) else [kinds]) if 'BASIS_SET' in kind}
    )
    return words + (f', {", ".join(basis)}' if basis else '')


def write_card(**facts: Any) -> str:
    """Write the card.

    :param facts: what the template ``model_card.md.j2`` names; None where the graph does not say.
    :returns: Markdown.
    """
    # Markdown for a file, not for a browser: nothing is escaped.
    environment = Environment(
        loader=PackageLoader('aiida_sis.share', ''),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template('model_card.md.j2').render(doi=DOI, **facts)
