"""The model card: what a potential was trained on, how good it is, and what it must not be trusted with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiida_sis.core.loop.record import Md, TrainingResults

__all__ = ('CardData', 'CardFacts', 'CardMd', 'level_in_words', 'write_card')

DOI = '10.1021/acs.jpcc.3c05522'


@dataclass(frozen=True)
class CardData:
    """One dataset. Temperatures in K; ``None`` where the graph does not say."""

    name: str
    system: str
    source: str
    composition: str
    n_train: int
    n_validation: int
    n_test: int
    label_temperature_k: float | None
    max_temperature_k: float | None
    errors: TrainingResults
    sha256: str


@dataclass(frozen=True)
class CardMd:
    """One MD with the potential."""

    place: str
    composition: str
    md: Md


@dataclass(frozen=True)
class CardFacts:
    """All that a card says. Errors are on held-out frames: force in eV/Å, energy in eV/atom."""

    name: str
    model_file: str
    elements: Sequence[str]
    descriptor: str
    rcut: float
    sel: Sequence[int]
    compressed: bool
    sha256: str
    uuid: str
    command: str = ''
    data: Sequence[CardData] = ()
    md: Sequence[CardMd] = ()
    training: TrainingResults | None = None
    levels: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    run: Mapping[str, str] = field(default_factory=dict)


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


def write_card(facts: CardFacts) -> str:
    """Write the card.

    :param facts: what is known.
    :returns: Markdown.
    """
    parts = [_head(facts), _use(facts), _errors(facts), _data(facts), _stability(facts), _limits(facts), _origin(facts)]
    return '\n'.join('\n'.join(part) + '\n' for part in parts if part)


def _head(facts: CardFacts) -> list[str]:
    kind = 'compressed ' if facts.compressed else ''
    return [
        f'# {facts.name}',
        '',
        f'A Deep Potential for {", ".join(facts.elements)}, trained by stability-indicated sampling',
        f'([doi:{DOI}](https://doi.org/{DOI})).',
        '',
        '| | |',
        '|---|---|',
        f'| model | `{facts.model_file}`, {kind}{facts.descriptor or "unknown descriptor"} |',
        f'| order of the elements | {" ".join(facts.elements)} |',
        f'| cutoff, neighbours | {facts.rcut:g} Å, {list(facts.sel)} |',
        f'| labels | {"; ".join(facts.levels) or "unknown"} |',
        f'| SHA-256 of the model | `{facts.sha256}` |',
        f'| UUID in AiiDA | `{facts.uuid}` |',
    ]


def _use(facts: CardFacts) -> list[str]:
    lines = [
        '## How to use it',
        '',
        '```',
        'pair_style deepmd ' + facts.model_file,
        'pair_coeff * * ' + ' '.join(facts.elements),
        '```',
        '',
        '`units metal`. A complete input that runs is in `lammps/`: `cd lammps && lmp -in in.lammps`.',
        'It ends itself where the temperature leaves its window.',
        '',
        'From Python (`deepmd.infer.DeepPot`, the ASE calculator) and in `dp test`, give right-handed cells only: for',
        'a left-handed one (negative determinant) DeePMD-kit 3.2 (TensorFlow) returns forces of the wrong sign.',
        'Exchanging its first two vectors makes it right-handed, with the same lattice. LAMMPS has no others.',
    ]
    if facts.command:
        lines += ['', f'`training/` holds what trained it: `cd training && {facts.command}`.']
    return lines


def _errors(facts: CardFacts) -> list[str]:
    training = facts.training
    if training is None:
        return []
    force, energy = training.force_rmse_ev_per_angstrom, training.energy_rmse_ev_per_atom
    n_frames = 'an unknown number of' if training.n_test_frames is None else training.n_test_frames
    lines = [
        '## Errors on held-out frames',
        '',
        f'Force RMSE {_number(force, 4)} eV/Å, energy RMSE {_number(energy, 5)} eV/atom, on '
        f'{n_frames} frames of the same AIMD runs that it was trained on.',
    ]
    if training.test_force_rms_ev_per_angstrom is not None:
        lines.append(f'Their forces are {training.test_force_rms_ev_per_angstrom:.3f} eV/Å large (RMS).')
    if training.per_element:
        lines += ['', '| element | force RMSE, eV/Å |', '|---|---|']
        lines += [f'| {element} | {_number(error, 4)} |' for element, error in sorted(training.per_element.items())]
    return lines


def _data(facts: CardFacts) -> list[str]:
    if not facts.data:
        return ['## Data', '', 'The graph does not say what it was trained on: the potential was imported.']
    lines = [
        '## Data',
        '',
        '| dataset | system | source | atoms | train | validation | test | T of the labels, K | highest, K '
        '| force RMSE, eV/Å | energy RMSE, eV/atom |',
        '|---|---|---|---|---|---|---|---|---|---|---|',
    ]
    for item in facts.data:
        numbers = [str(number) for number in (item.n_train, item.n_validation, item.n_test)]
        numbers += [_number(item.label_temperature_k, 0), _number(item.max_temperature_k, 0)]
        numbers += [_number(item.errors.force_rmse_ev_per_angstrom, 4), _number(item.errors.energy_rmse_ev_per_atom, 5)]
        lines.append(f'| {" | ".join((item.name, item.system, item.source, item.composition, *numbers))} |')
    total = sum(item.n_train for item in facts.data)
    return [*lines, '', f'{total} training frames. The SHA-256 of each dataset is in `training/datasets.json`.']


def _stability(facts: CardFacts) -> list[str]:
    lines = ['## Stability']
    if not facts.md:
        return [*lines, '', 'No MD was run with it.']
    lines += ['', '| MD | atoms | T, K | window, K | length, ps | end |', '|---|---|---|---|---|---|']
    for run in facts.md:
        md = run.md
        window = f'{md.window_k[0]:g} to {md.window_k[1]:g}' if md.window_k else ''
        end = 'stable' if md.stable else f'left its window at {_number(md.t_cp_ps, 3)} ps'
        lines.append(
            f'| {run.place} | {run.composition} | {_number(md.temperature_target_k, 0)} | {window} '
            f'| {_number(md.length_ps, 3)} | {end} |'
        )
    return [
        *lines,
        '',
        'Stable means that the temperature stayed in the window; it does not mean that the forces are right.',
    ]


def _limits(facts: CardFacts) -> list[str]:
    systems = sorted({f'{item.composition} ({item.system})' for item in facts.data})
    hottest = max((item.max_temperature_k for item in facts.data if item.max_temperature_k), default=None)
    longest = max((run.md.length_ps or 0.0 for run in facts.md if run.md.stable), default=0.0)
    lines = ['## What it was not trained on', '']
    lines.append(f'- Elements other than {", ".join(facts.elements)}.')
    if systems:
        lines.append(f'- Compositions, densities and phases other than those of the data: {"; ".join(systems)}.')
    if hottest:
        lines.append(f'- Temperatures above those of the labelled frames, which reached {hottest:.0f} K.')
    if longest:
        lines.append(f'- MD longer than {longest:g} ps, the longest that was watched: rarer events have not been met.')
    lines.append('- Pressure and cell changes: no virials were learnt, so it is for constant volume.')
    lines.append('- Charges and fields: a Deep Potential knows neither, nor interactions beyond its cutoff.')
    lines.append('- Anything that the level of theory of its labels gets wrong: it is no better than its labels.')
    return lines


def _origin(facts: CardFacts) -> list[str]:
    lines = ['## Where it is from', '', '| | |', '|---|---|']
    lines += [f'| {key} | {value} |' for key, value in facts.run.items()]
    lines += [f'| seed of the {key} | {value} |' for key, value in facts.seeds.items()]
    lines += [f'| {key} | {value} |' for key, value in facts.versions.items()]
    lines += [
        '',
        'Please cite the method, Xu et al., *J. Phys. Chem. C* (2023),',
        f'[doi:{DOI}](https://doi.org/{DOI}), and the codes.',
    ]
    return lines


def _number(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'
