"""What a SIS run is asked to do, checked before anything is submitted.

The settings arrive as one plain dictionary (a protocol plus the user's overrides). They are read into typed models
here so that a misspelt key or an impossible value becomes one sentence instead of a job that fails an hour later.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from aiida_deepmd.settings import StrictModel, nearest_key
from aiida_sis.core.settings.base import (
    ROOM_TEMPERATURE_K,
    Cleaning,
    Count,
    Flag,
    Integer,
    Number,
    Positive,
    Sites,
    Whole,
    Window,
    WindowOrAuto,
)
from aiida_sis.core.settings.distance import LeastDistance
from aiida_sis.core.settings.verification import LadderSettings, VerificationSettings


class Stage(StrictModel):
    """One stage of the coarse-to-fine schedule: it is passed when every replica survives its whole length."""

    name: str
    """The name that reports use, for example ``low-fidelity``."""
    window_k: WindowOrAuto
    """The lowest and the highest temperature allowed, in K. ``auto``: the narrowest window that the thermal fluctuation
    of a system leaves less than once in twenty runs, all its replicas together."""
    at_least_k: Window | None = None
    """Temperatures in K that an automatic window must hold beside: a coarse stage, or the heat of a reaction, which is
    no fluctuation."""
    length_ps: Positive
    """Length of an MD in ps."""

    @model_validator(mode='after')
    def _widens_auto(self) -> Stage:
        if self.at_least_k is not None and self.window_k != 'auto':
            raise ValueError(
                f"at_least_k of stage '{self.name}' widens an automatic window: write `window_k: auto` beside it, or "
                'leave it out'
            )
        return self


class LearningSchedule(StrictModel):
    """Learning without forgetting: how a fine-tuning differs from the first training."""

    lr_decay: Number = Field(default=0.9, gt=0, le=1)
    """The start learning rate of generation g is ``start_lr * lr_decay**g``; with ``fine_tune_lr`` it is
    ``fine_tune_lr * lr_decay**(g - 1)``."""
    fine_tune_lr: Number | None = Field(default=None, gt=0)
    """Start learning rate of the first fine-tuning, which is generation 1. Generation 0 has it too where it starts from
    a potential that was given, and keeps its own steps and prefactors. None: it follows from ``start_lr``."""
    fine_tune_steps: Count = 4000
    """Number of training steps of every generation after the first."""
    fine_tune_loss: dict[str, Number] = Field(default_factory=dict)
    """Loss prefactors that replace those of the first training, for example ``start_pref_f``; the prefactors of
    DeePMD-kit follow lr/start_lr, so a lower learning rate alone would not lower them."""
    loss_by_generation: dict[int, dict[str, Number]] = Field(default_factory=dict)
    """Prefactors of single generations, laid over ``fine_tune_loss`` from that generation on."""
    pretrained: Literal['continue', 'finetune'] = 'continue'
    """How generation 0 starts from a potential that was given: ``continue`` keeps its weights and statistics,
    ``finetune`` also adapts its energy bias to the new data."""
    mask_fixed_atoms: Flag = True
    """Leave the artificial zero forces of fixed atoms out of the loss. False trains on them, which the paper's section
    3.2 advises against."""


class SystemSettings(StrictModel):
    """What differs for one system; what is left out is that of the whole run."""

    share: Number | None = Field(default=None, ge=0, le=1)
    """How often its frames are drawn in a training, as a share of all; given for every system or for none."""
    temperatures_k: tuple[Positive, ...] | None = Field(default=None, min_length=1)
    """Target temperatures of its MD runs, in K; one set of replicas for each."""
    replicas: Count | None = None
    """MD runs for each temperature."""
    initial_labels: Whole | None = None
    """Independent AIMD runs of generation 0."""
    initial_length_fs: Positive | None = None
    """Length of each of them, in fs."""
    label_length_fs: Positive | None = None
    """Length of an AIMD of a later generation, in fs."""
    optimise_first: Flag | None = None
    """Whether generation 0 starts from a geometry optimisation."""
    fixed_atoms: Sites = ()
    """Numbers of the sites that are held where they are, from 0."""
    cp2k: dict[str, Any] = Field(default_factory=dict)
    """Changes to the level of theory, in CP2K's input tree (a metal needs smearing, an odd number of electrons needs
    UKS)."""


class SamplingSettings(StrictModel):
    """How the frames that are labelled after a catastrophe are found."""

    strategy: Literal['burst', 'replay', 'burst_and_replay', 'ladder', 'ladder_and_burst', 'committee'] = 'burst'
    """``burst`` is the paper's: an AIMD from t_next. ``replay`` labels the MD's own frames between t_next and t_cp by
    single points. ``burst_and_replay`` does both. ``ladder`` labels the MD's own frames further and further before
    t_cp by single points. ``ladder_and_burst`` does so, and starts an AIMD from the latest that is still right, the
    measured t_next. ``committee`` is DP-GEN's: single points on the frames whose model deviation lies between two trust
    levels."""
    ladder: LadderSettings = Field(default_factory=LadderSettings)
    """The ladder, and which frames of a failed MD are fit to be learnt."""
    max_retreats: Whole = 4
    """How often an earlier part of a failed MD is taken where nothing of the later one could be labelled: 1 ps before
    t_next, then 4 ps, 16 ps, …; where the first frame gave nothing, the start structure."""
    replay_frames: Count = 12
    """How many frames of the MD a replay labels."""
    replay_choice: Literal['even', 'farthest_point', 'entropy'] = 'even'
    """How they are chosen: ``even`` in time, ``farthest_point`` or ``entropy``."""
    committee_size: Integer = Field(default=4, ge=2)
    """Number of potentials, trained from different seeds."""
    trust_levels: tuple[Number, Number] = (0.15, 0.6)
    """Lower and upper force deviation, eV/Å: below the first a frame is known, above the second it is not physical."""
    deviation_interval_fs: Positive = 10.0
    """Spacing at which the deviation is looked at, in fs."""
    max_candidates: Count = 50
    """Most frames that one MD gives."""
    accurate_share: Number | None = Field(default=None, gt=0, le=1)
    """With a committee, share of known frames below which a stage is not passed though the MD was stable, as DP-GEN
    demands; None: stability alone counts, so that the strategies can be compared."""
    least_distance: LeastDistance | None = None
    """The early sign: stop an MD where two atoms come nearer than in the training data; None: only its temperature
    tells."""

    @field_validator('trust_levels')
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 < value[0] < value[1]:
            raise ValueError('the first level must be above 0 and lower than the second')
        return value

    @model_validator(mode='after')
    def _share_of_a_committee(self) -> SamplingSettings:
        if self.accurate_share is not None and self.strategy != 'committee':
            raise ValueError("accurate_share is of the strategy 'committee' only: leave it out")
        return self


class SisSettings(StrictModel):
    """The settings of one SIS run."""

    temperature_k: Positive = ROOM_TEMPERATURE_K
    """The target temperature of MD and AIMD, in K."""
    stages: tuple[Stage, ...] = Field(min_length=1)
    """The windows and lengths, coarse to fine."""
    replicas: Count = 2
    """Number of MD runs side by side, each with its own seed, for each system and temperature."""
    max_generations: Whole = 10
    """The number of the last generation that may be trained (the first is 0)."""
    start: Literal['train', 'explore'] = 'train'
    """``train``: generation 0 trains on what was labelled and given. ``explore``: it takes the potential that was given
    as it is, and begins with MD."""
    initial_labels: Whole = 1
    """Number of independent AIMD runs of generation 0 for each system."""
    initial_length_fs: Positive
    """Length of each of them, in fs."""
    optimise_first: Flag = True
    """Whether generation 0 starts from a geometry optimisation."""
    learning: LearningSchedule = Field(default_factory=LearningSchedule)
    """The schedule of the fine-tunings."""
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    """How frames are found after a catastrophe."""
    verification: VerificationSettings = Field(default_factory=VerificationSettings)
    """How the stable MD is verified."""
    clean_workdir: Cleaning = 'finished_ok'
    """Of which parts (label, training, MD) the work directories on the computer are emptied when they have ended:
    ``never``, ``finished_ok`` or ``all``. What was retrieved stays in the repository."""
    systems: dict[str, SystemSettings] = Field(default_factory=dict)
    """What differs for single systems, by name."""

    @property
    def rung_rmse_max(self) -> float:
        """Largest force error of a rung that is still right, in eV/Å."""
        return self.sampling.ladder.force_rmse_max or 2 * self.verification.force_rmse_max

    @model_validator(mode='after')
    def _coarse_to_fine(self) -> SisSettings:
        given = [(stage.name, stage.window_k) for stage in self.stages if stage.window_k != 'auto']
        for (before, outer), (after, inner) in itertools.pairwise(given):
            if inner[0] < outer[0] or inner[1] > outer[1]:
                raise ValueError(
                    f"The window {list(inner)} K of stage '{after}' reaches beyond {list(outer)} K of stage "
                    f"'{before}' before it: let each window lie within the one before, from coarse to fine."
                )
        return self

    def system(self, name: str) -> SystemSettings:
        """Give the settings of one system, with those of the run where it has none of its own.

        :param name: the name of the system.
        :returns: its settings; only ``share`` and ``label_length_fs`` may still be None.
        """
        own = self.systems.get(name, SystemSettings())
        filled = {
            'temperatures_k': own.temperatures_k or (self.temperature_k,),
            'replicas': own.replicas or self.replicas,
            'initial_labels': self.initial_labels if own.initial_labels is None else own.initial_labels,
            'initial_length_fs': own.initial_length_fs or self.initial_length_fs,
            'optimise_first': self.optimise_first if own.optimise_first is None else own.optimise_first,
        }
        return own.model_copy(update=filled)


@dataclass(frozen=True)
class Replica:
    """One MD run of every stage.

    :param system: name of the system it explores.
    :param temperature_k: target temperature in K.
    """

    system: str
    temperature_k: float


def plan_replicas(settings: SisSettings, systems: Collection[str]) -> list[Replica]:
    """List the MD runs of a stage: every system at every one of its temperatures, as often as asked for.

    :param settings: the settings of the run.
    :param systems: the names of the explored systems.
    :returns: the replicas, in the order of their numbers.
    """
    plan = []
    for name in sorted(systems):
        own = settings.system(name)
        for temperature in own.temperatures_k or ():
            plan += [Replica(name, temperature)] * (own.replicas or 0)
    return plan


def check_systems(
    settings: SisSettings, explored: Collection[str], supporting: Collection[str], datasets: Collection[str]
) -> str | None:
    """Check the settings of the systems against the systems that there are.

    :param settings: the settings of the run.
    :param explored: names of the systems that MD runs on.
    :param supporting: names of the systems that are labelled only.
    :param datasets: names of the groups of frames that were given.
    :returns: one sentence, or nothing.
    """
    both = sorted(set(explored) & set(supporting))
    if both:
        return f"The system '{both[0]}' is both in systems and in supporting: a system has one role, so leave one out."
    known = {*explored, *supporting, *datasets}
    for name in settings.systems:
        if name not in known:
            return f"The key 'systems.{name}' of the SIS parameters names no system: {nearest_key(name, known)}"
    shares = {name: own.share for name, own in settings.systems.items() if own.share is not None}
    if not shares:
        return None
    without = sorted(known - set(shares))
    if without:
        return f"The shares {shares} lack '{without[0]}': give a share for every system and dataset, or for none."
    total = sum(shares.values())
    if abs(total - 1) > 1e-6:
        return f'The shares {shares} sum to {total:g}: shares of the training data must sum to 1.'
    return None


def training_weights(
    settings: SisSettings, groups: Mapping[str, str], frames: Mapping[str, int]
) -> dict[str, float] | None:
    """Turn the shares of the systems into a weight for each dataset.

    Inside a system every frame counts the same. Shares of systems that have no frames yet fall to the others.

    :param settings: the settings of the run.
    :param groups: the system that each dataset belongs to.
    :param frames: the number of training frames of each dataset.
    :returns: weights that sum to 1, by dataset, for those with training frames; nothing where no share was given.
    """
    shares = {name: own.share for name, own in settings.systems.items() if own.share is not None}
    if not shares:
        return None
    used = {key: count for key, count in frames.items() if count}
    sizes: dict[str, int] = {}
    for key, count in used.items():
        sizes[groups[key]] = sizes.get(groups[key], 0) + count
    total = sum(shares[name] for name in sizes)
    if total <= 0:
        return None
    return {key: shares[groups[key]] / total * count / sizes[groups[key]] for key, count in used.items()}


def read_settings(values: Mapping[str, Any]) -> SisSettings:
    """Read the settings of a SIS run.

    :param values: the plain dictionary.
    :returns: the settings, typed.
    :raises ValueError: in one sentence that names the key, the value and the remedy.
    """
    return SisSettings.read(values, 'SIS parameters')
