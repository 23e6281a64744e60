"""Trees laid over trees."""

from __future__ import annotations

from typing import Any

import pytest

from aiida_sis.core.overlay import merge


def test_both_are_kept_and_neither_is_changed() -> None:
    """Sections are joined, keywords of the second win."""
    base: dict[str, Any] = {'A': {'X': 1, 'Y': 2}, 'B': 3}
    changes = {'A': {'Y': 5}, 'C': {'Z': [1]}}
    merged = merge(base, changes)
    assert merged == {'A': {'X': 1, 'Y': 5}, 'B': 3, 'C': {'Z': [1]}}
    merged['C']['Z'].append(2)
    assert base == {'A': {'X': 1, 'Y': 2}, 'B': 3}
    assert changes == {'A': {'Y': 5}, 'C': {'Z': [1]}}


@pytest.mark.parametrize('key', ['type', 'style', 'rule'])
def test_another_kind_replaces_the_whole(key: str) -> None:
    """What stood beside the old kind belongs to it; the same kind, or none, is merged."""
    base = {'rate': {key: 'exp', 'start': 1, 'decay': 2}}
    assert merge(base, {'rate': {key: 'cosine', 'start': 3}}) == {'rate': {key: 'cosine', 'start': 3}}
    assert merge(base, {'rate': {key: 'exp', 'start': 3}}) == {'rate': {key: 'exp', 'start': 3, 'decay': 2}}
    assert merge(base, {'rate': {'start': 3}}) == {'rate': {key: 'exp', 'start': 3, 'decay': 2}}


def test_a_kind_that_the_base_does_not_name_is_merged() -> None:
    """A fitting net without a type is DeePMD-kit's default, and naming that must lose nothing."""
    assert merge({'net': {'neuron': [8]}}, {'net': {'type': 'ener'}}) == {'net': {'neuron': [8], 'type': 'ener'}}


def test_none_removes() -> None:
    """Also a whole section, also in one that is new; where the tree is laid over another one later, it stays."""
    base = {'A': {'X': 1, 'Y': 2}, 'B': {'Z': 3}}
    changes: dict[str, Any] = {'A': {'X': None}, 'B': None, 'C': {'U': None, 'V': 4}}
    assert merge(base, changes) == {'A': {'Y': 2}, 'C': {'V': 4}}
    kept = merge(base, changes, keep_nulls=True)
    assert kept == {'A': {'X': None, 'Y': 2}, 'B': None, 'C': {'U': None, 'V': 4}}
    assert merge({'A': {'X': 7, 'W': 8}, 'B': 9}, kept) == {'A': {'Y': 2, 'W': 8}, 'C': {'V': 4}}
