"""Why CP2K stopped, from its own output."""

from __future__ import annotations

import re

from aiida_deepmd.files.machine import full_disk, own_fault

#: What helps an SCF, in the words of CP2K's input.
SCF_REMEDY = (
    'give FORCE_EVAL/DFT/SCF an OUTER_SCF or a larger MAX_SCF, a metal SMEAR and ADDED_MOS instead of OT, or let CP2K '
    'from 2024.1 on leave single frames out by IGNORE_CONVERGENCE_FAILURE.'
)
#: No message of an abort and no closing line: CP2K did not stop by itself.
CUT_SHORT = "CP2K's output ends without its closing lines: the job was killed or ran out of wall time."
_CHARGE = re.compile(r'Charge outside chemical range:.*Limit= *(\d\S*) +Charge= *(-?\d\S*)')
_ABORT_ART = re.compile(r'^\s*(\[ABORT\]|\\___/|/ +\\|___|O/\||/\| \||\|)')


def abort_reason(text: str) -> str | None:
    """Say in one sentence why CP2K stopped, because its exit code alone doesn't tell a chemist anything.

    :param text: CP2K's main output.
    :returns: one sentence, or None where the run came to its regular end.
    """
    if 'SCF run NOT converged. To continue the calculation regardless' in text:
        return f'The SCF did not converge: {SCF_REMEDY}'
    words: list[str] = []
    _, found, box = text.partition('[ABORT]')
    for line in box.splitlines() if found else []:
        if line.strip().startswith('****'):
            break
        words.append(_ABORT_ART.sub('', line.strip().strip('*')).strip())
    place = re.search(r'(\S+\.F:\d+)', ' '.join(words))
    message = re.sub(r'\s*\S+\.F:\d+', '', ' '.join(word for word in words if word)).strip()
    if message == 'xTB Charges':
        return _charges_reason(text)
    if message:
        return f'CP2K aborted: {message.rstrip(".")}' + (f' ({place.group(1)}).' if place else '.')
    if 'exceeded requested execution time' in text:
        return 'CP2K ran out of its wall time.'
    return None if 'PROGRAM STOPPED IN' in text else CUT_SHORT


def machine_fault(text: str, stderr: str = '') -> str | None:
    """Say in one sentence what a machine did to CP2K, which says nothing of the structure.

    :param text: CP2K's main output.
    :param stderr: what the scheduler's error output holds.
    :returns: one sentence, or None where CP2K came to its end, stopped by itself, or died by a fault of its own.
    """
    line = full_disk(text, stderr)
    if line is not None:
        return f'The disk of the work directory is full ({line}).'
    return CUT_SHORT if abort_reason(text) == CUT_SHORT and own_fault(text, stderr) is None else None


def _charges_reason(text: str) -> str:
    """Say how far the charges of xTB were beyond CP2K's limits: a little is the method, much an SCF that overshot."""
    found = [(float(limit), float(charge)) for limit, charge in _CHARGE.findall(text)]
    limit, charge = max(found, key=lambda pair: abs(pair[1]) / pair[0], default=(1.0, float('inf')))
    reason = f'The SCF failed: in it the atomic charges of xTB left their range ({charge:g}, the limit is {limit:g}). '
    if abs(charge) < 1.1 * limit:
        return reason + 'So little beyond may be the method: try CHECK_ATOMIC_CHARGES false in FORCE_EVAL/DFT/QS/XTB.'
    return reason + (
        'Shorter first steps may help: set STEPSIZE 0.03 in FORCE_EVAL/DFT/SCF/OT, or ALPHA 0.05 in MIXING where it '
        'diagonalises. If they do not, an SCF may pass such charges on its way: set CHECK_ATOMIC_CHARGES false in '
        'FORCE_EVAL/DFT/QS/XTB; a frame that does not converge is refused all the same.'
    )
