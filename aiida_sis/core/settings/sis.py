"""What a SIS run is asked to do, checked before anything is submitted.

The settings arrive as one plain dictionary (a protocol plus the user's overrides). They are read into typed models
here so that a misspelt key or an impossible value becomes one sentence instead of a job that fails an hour later.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from aiida_deepmd.settings import nearest_key, one_sentence

# Text would be taken for a number here, and stay text in what a run is summarised by.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]


def check_window(value: tuple[float, float]) -> tuple[float, float]:
    """Check a window of temperatures.

    :param value: lower and upper edge in K.
    :returns: the same.
    :raises ValueError: if they are not in order.
    """
    if not 0 <= value[0] < value[1]:
        raise ValueError('the first temperature must be at least 0 and lower than the second')
    return value


Window = Annotated[tuple[Number, Number], AfterValidator(check_window)]


class _Strict(BaseModel):
    """A model that refuses keys it does not know."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class Stage(_Strict):
    """One stage of the coarse-to-fine schedule: it is passed when every replica survives its whole length.

    :param name: the name that reports use, for example ``low-fidelity``.
    :param window_k: the lowest and the highest temperature allowed, in K.
    :param length_ps: the MD length asked for, in ps.
    """

    name: str
    window_k: Window
    length_ps: Number = Field(gt=0)


class LearningSchedule(_Strict):
    """Learning without forgetting: how a fine-tuning differs from the first training.

    :param lr_decay: the start learning rate of generation g is ``start_lr * lr_decay**g``.
    :param fine_tune_steps: number of training steps of every generation after the first.
    :param fine_tune_loss: loss prefactors that replace those of the first training, for example ``start_pref_f``; the
        prefactors of DeePMD-kit follow lr/start_lr, so a lower learning rate alone would not lower them.
    :param loss_by_generation: prefactors of single generations, laid over ``fine_tune_loss`` from that generation on.
    :param pretrained: how generation 0 starts from a potential that was given: ``continue`` keeps its weights and
        statistics, ``finetune`` also adapts its energy bias to the new data.
    :param mask_fixed_atoms: leave the artificial zero forces of fixed atoms out of the loss. False trains on them,
        which the paper's section 3.2 advises against.
    """

    lr_decay: Number = Field(default=0.9, gt=0, le=1)
    fine_tune_steps: Whole = Field(default=4000, gt=0)
    fine_tune_loss: dict[str, Number] = Field(default_factory=dict)
    loss_by_generation: dict[int, dict[str, Number]] = Field(default_factory=dict)
    pretrained: Literal['continue', 'finetune'] = 'continue'
    mask_fixed_atoms: Flag = True


class SystemSettings(_Strict):
    """What differs for one system; what is left out is that of the whole run.

    :param share: how often its frames are drawn in a training, as a share of all; given for every system or for none.
    :param temperatures_k: target temperatures of its MD runs, in K; one set of replicas for each.
    :param replicas: MD runs for each temperature.
    :param initial_labels: independent AIMD runs of generation 0.
    :param initial_length_fs: length of each of them, in fs.
    :param label_length_fs: length of an AIMD of a later generation, in fs.
    :param optimise_first: whether generation 0 starts from a geometry optimisation.
    :param fixed_atoms: numbers of the sites that are held where they are, from 0.
    :param cp2k: changes to the level of theory, in CP2K's input tree (a metal needs smearing, an odd number of
        electrons needs UKS).
    """

    share: Number | None = Field(default=None, ge=0, le=1)
    temperatures_k: tuple[Annotated[Number, Field(gt=0)], ...] | None = Field(default=None, min_length=1)
    replicas: Whole | None = Field(default=None, gt=0)
    initial_labels: Whole | None = Field(default=None, ge=0)
    initial_length_fs: Number | None = Field(default=None, gt=0)
    label_length_fs: Number | None = Field(default=None, gt=0)
    optimise_first: Flag | None = None
    fixed_atoms: tuple[Whole, ...] = ()
    cp2k: dict[str, Any] = Field(default_factory=dict)


class SamplingSettings(_Strict):
    """How the frames that are labelled after a catastrophe are found.

    :param strategy: ``burst`` is the paper's: an AIMD from t_next. ``replay`` labels the MD's own frames between t_next
        and t_cp by single points. ``burst_and_replay`` does both. ``committee`` is DP-GEN's: single points on the
        frames whose model deviation lies between two trust levels.
    :param max_retreats: how often an earlier part of a failed MD is taken where nothing of the later one could be
        labelled: 1 ps before t_next, then 4 ps, 16 ps, …; where the first frame gave nothing, the start structure.
    :param replay_frames: how many frames of the MD a replay labels.
    :param replay_choice: how they are chosen: ``even`` in time, ``farthest_point`` or ``entropy``.
    :param committee_size: number of potentials, trained from different seeds.
    :param trust_levels: lower and upper force deviation, eV/Å: below the first a frame is known, above the second it
        is not physical.
    :param deviation_interval_fs: spacing at which the deviation is looked at, in fs.
    :param max_candidates: most frames that one MD gives.
    :param accurate_share: with a committee, share of known frames below which a stage is not passed though the MD was
        stable, as DP-GEN demands; None: stability alone counts, so that the strategies can be compared.
    """

    strategy: Literal['burst', 'replay', 'burst_and_replay', 'committee'] = 'burst'
    max_retreats: Whole = Field(default=4, ge=0)
    replay_frames: Whole = Field(default=12, gt=0)
    replay_choice: Literal['even', 'farthest_point', 'entropy'] = 'even'
    committee_size: Whole = Field(default=4, ge=2)
    trust_levels: tuple[Number, Number] = (0.15, 0.6)
    deviation_interval_fs: Number = Field(default=10.0, gt=0)
    max_candidates: Whole = Field(default=50, gt=0)
    accurate_share: Number | None = Field(default=None, gt=0, le=1)

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


class SisSettings(_Strict):
    """The settings of one SIS run.

    :param temperature_k: the target temperature of MD and AIMD, in K.
    :param stages: the windows and lengths, coarse to fine.
    :param replicas: number of MD runs side by side, each with its own seed, for each system and temperature.
    :param max_generations: the number of the last generation that may be trained (the first is 0).
    :param start: ``train``: generation 0 trains on what was labelled and given. ``explore``: it takes the potential
        that was given as it is, and begins with MD.
    :param initial_labels: number of independent AIMD runs of generation 0 for each system.
    :param initial_length_fs: length of each of them, in fs.
    :param optimise_first: whether generation 0 starts from a geometry optimisation.
    :param learning: the schedule of the fine-tunings.
    :param sampling: how frames are found after a catastrophe.
    :param systems: what differs for single systems, by name.
    """

    temperature_k: Number = Field(default=300.0, gt=0)
    stages: tuple[Stage, ...] = Field(min_length=1)
    replicas: Whole = Field(default=2, gt=0)
    max_generations: Whole = Field(default=10, ge=0)
    start: Literal['train', 'explore'] = 'train'
    initial_labels: Whole = Field(default=1, ge=0)
    initial_length_fs: Number = Field(gt=0)
    optimise_first: Flag = True
    learning: LearningSchedule = Field(default_factory=LearningSchedule)
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    systems: dict[str, SystemSettings] = Field(default_factory=dict)

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
    try:
        settings = SisSettings.model_validate(dict(values))
    except ValidationError as exception:
        raise ValueError(one_sentence(exception, SisSettings, 'SIS parameters', _PARTS)) from None
    problem = _widening_stage(settings.stages)
    if problem:
        raise ValueError(problem)
    return settings


_PARTS: dict[str, type[BaseModel]] = {
    'stages': Stage,
    'learning': LearningSchedule,
    'sampling': SamplingSettings,
    'systems': SystemSettings,
}


def _widening_stage(stages: tuple[Stage, ...]) -> str | None:
    for before, after in itertools.pairwise(stages):
        if after.window_k[0] < before.window_k[0] or after.window_k[1] > before.window_k[1]:
            return (
                f"The window {list(after.window_k)} K of stage '{after.name}' reaches beyond {list(before.window_k)} K "
                f"of stage '{before.name}' before it: let each window lie within the one before, from coarse to fine."
            )
    return None
