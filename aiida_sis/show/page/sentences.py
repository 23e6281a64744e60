"""The verdict on a run in plain sentences, and its figures of merit."""

from __future__ import annotations

from collections.abc import Iterator

from aiida_sis.core.loop.outcome import UNVERIFIED, is_stable, last_verified
from aiida_sis.core.loop.record import Generation, Run
from aiida_sis.show.tables import format_ratio, format_seconds, true_error_lines, warning_lines

__all__ = ('headline', 'key_figures', 'sentences', 'verdict_kind')


_COUNTS = {1: 'One', 2: 'Two', 3: 'Three', 4: 'Four', 5: 'Five', 6: 'Six'}


def verdict_kind(record: Run) -> str:
    """Return the verdict in a word: ``stable``, ``running`` or ``ended``; all cycles of a hybrid run count as stable.

    A run whose stable MD turned out too wrong has ended.

    :param record: of the run.
    """
    if record.is_running:
        return 'running'
    good = ('finished',) if record.is_hybrid else ('stable', 'stable and verified')
    return 'stable' if record.outcome in good else 'ended'


def headline(record: Run) -> str:
    """Return the verdict in a line.

    :param record: of the run.
    """
    kind = verdict_kind(record)
    if kind == 'stable' and record.is_hybrid:
        return f'{_count(len(record.generations), "cycle")}, {_stable_ps(record):.4g} ps of MD'
    if is_stable(record.outcome):
        verdict = {'stable and verified': ' and verified', 'stable, not verified': ', but not right enough'}
        return f'Stable for {_stable_ps(record):.4g} ps{verdict.get(record.outcome, "")}'
    if kind == 'running':
        number = record.generations[-1].generation if record.generations else 0
        return f'Still running, in generation {number}'
    return 'Ended before its last cycle' if record.is_hybrid else 'Ended before it was stable'


def sentences(record: Run) -> list[str]:
    """Say how the run went and how it ended.

    :param record: of the run.
    """
    return [
        *_outcome(record),
        *_true_error(record),
        *_data(record),
        *_catastrophes(record),
        *warning_lines(record),
        *_time(record),
    ]


def key_figures(record: Run) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return the name of what people ask for first, with its values and their units.

    :param record: of the run.
    """
    whole = 'MD' if record.is_hybrid else 'stable MD'
    found: list[tuple[str, tuple[tuple[str, str], ...]]] = [
        (whole if record.md_ps else 'longest MD so far', ((f'{_stable_ps(record):.3g}', 'ps'),)),
        ('AIMD labelled', ((f'{record.aimd_ps:.3g}', 'ps'),)),
    ]
    ratio = record.acceleration_ratio
    if ratio:
        found.append(('acceleration ratio', ((format_ratio(ratio), '×'),)))
    number = len(record.generations)
    found.append(('generation' if number == 1 else 'generations', ((str(number), ''),)))
    error = _last_error(record)
    if error is not None:
        found.append(('force error, held out', ((f'{error:.3f}', 'eV/Å'),)))
    verified = last_verified(record)
    true = verified.verification and verified.verification.force_rmse_ev_per_angstrom if verified else None
    if true is not None:
        found.append(('force error, stable MD', ((f'{true:.3f}', 'eV/Å'),)))
    words = format_seconds(record.wall_seconds).split()
    found.append(('wall time', tuple(zip(words[::2], words[1::2], strict=True))))
    return found


def _outcome(record: Run) -> Iterator[str]:
    kind = verdict_kind(record)
    last = record.generations[-1] if record.generations else None
    if kind == 'stable' and record.is_hybrid:
        times = _count(len(record.generations), 'cycle').lower()
        yield f'AIMD and MD followed each other along one trajectory: {times}, {_stable_ps(record):.4g} ps of MD.'
    elif kind == 'stable' and last is not None:
        stage = max(last.stages, default=0)
        runs = [md for md in last.md if md.stage == stage]
        window = record.stage_window(stage)
        inside = f' inside {window[0]:g} to {window[1]:g} K' if window else ''
        replicas = {1: 'the MD', 2: 'both MD runs'}.get(len(runs), f'all {len(runs)} MD runs')
        yield (
            f'The potential of generation {last.generation} carried {replicas} through the last stage, '
            f'{record.stage_name(stage)}: {_stable_ps(record):.4g} ps{inside}.'
        )
    elif kind == 'running':
        yield f'The run goes on{_doing(last)}. This page shows what is known by now.'
    else:
        reason = (record.message or '').strip().splitlines()
        code = f' with exit code {record.exit_status}' if record.exit_status else ''
        said = f': {reason[-1].rstrip(".")}' if reason else ''
        yield f'The run ended{code}{said}. Everything it had made until then is below.'


def _true_error(record: Run) -> Iterator[str]:
    """What the frames of the stable MD say, or that nobody asked them."""
    found = [f'{line}.' for line in true_error_lines(record)]
    if found:
        yield ' '.join(found)
    elif record.outcome == 'stable' and not record.is_hybrid:
        yield UNVERIFIED


def _doing(last: Generation | None) -> str:
    """Say what the last generation is about, from what is not finished in it."""
    if last is None:
        return ' and has not labelled anything yet'
    if any(md.state in ('waiting', 'running') for md in last.md):
        return f': the MD of generation {last.generation} explores'
    if last.training is not None and last.training.state in ('waiting', 'running'):
        return f': the potential of generation {last.generation} is being trained'
    if any(label.state in ('waiting', 'running') for label in last.stable_labels):
        return f': frames of the stable MD of generation {last.generation} are labelled'
    if any(label.state in ('waiting', 'running') for label in last.labels):
        return f': frames are labelled for generation {last.generation}'
    return ''


def _data(record: Run) -> Iterator[str]:
    frames = sum(generation.n_frames + generation.n_stable_frames for generation in record.generations)
    if not frames:
        yield 'No frame has been labelled yet.'
        return
    ratio = record.acceleration_ratio
    gained = f' The acceleration ratio, {record.ratio_of}, is {format_ratio(ratio)}.' if ratio else ''
    verb = 'So far it has' if record.is_running else 'It took'
    yield f'{verb} {frames} labelled frames, {record.labelled}.{gained}'
    error = _last_error(record)
    if error is not None:
        yield f'On frames that it never saw the force error of the last potential is {error:.3f} eV/Å (RMSE).'


def _catastrophes(record: Run) -> Iterator[str]:
    times = [md.t_cp_ps for md in record.all_md if md.t_cp_ps is not None]
    if times:
        span = f'at {times[0]:.3g} ps' if len(times) == 1 else f'between {min(times):.3g} and {max(times):.3g} ps'
        runs = _count(len(times), 'MD run')
        yield f'{runs} left the window, {span}; each gave a snapshot from before it to label next.'
    fallbacks = [label for generation in record.generations for label in generation.labels if label.route == 'fallback']
    if fallbacks:
        yield (
            f'For {len(fallbacks)} of them the snapshot had to be optimised first, because the AIMD from the snapshot '
            'itself went wrong.'
        )


def _count(number: int, what: str) -> str:
    return f'{_COUNTS.get(number, number)} {what}{"" if number == 1 else "s"}'


def _time(record: Run) -> Iterator[str]:
    share = record.framework_share
    least = 'at least ' if record.untimed_jobs else ''
    codes = f'; for {least}{100 * (1 - share):.0f} % of it a code was running' if share is not None else ''
    yield f'It took {format_seconds(record.wall_seconds)}{" so far" if record.is_running else ""}{codes}.'


def _stable_ps(record: Run) -> float:
    """Return how long every replica was stable: of the whole run where it has ended, else of the best generation."""
    if record.md_ps:
        return record.md_ps
    return max((min(one.stable_ps.values()) for one in record.generations if one.stable_ps), default=0.0)


def _last_error(record: Run) -> float | None:
    errors = [one.force_rmse_ev_per_angstrom for one in record.generations if one.force_rmse_ev_per_angstrom]
    return errors[-1] if errors else None
