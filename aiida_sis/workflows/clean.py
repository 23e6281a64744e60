"""Empty the work directories of jobs whose results are in the repository."""

from __future__ import annotations

from collections.abc import Iterable

from aiida import orm

__all__ = ('clean_workdirs',)


def clean_workdirs(parts: Iterable[orm.ProcessNode]) -> str:
    """Empty the work directories of all jobs at or below some processes; none of them is needed for what follows.

    One connection is opened for each computer. A directory that can't be emptied is left, and does no harm.

    :param parts: the nodes of processes that have ended.
    :returns: what could not be done, in a sentence, or nothing.
    """
    folders: dict[str, list[orm.RemoteData]] = {}
    for part in parts:
        for job in (part, *part.called_descendants):
            if isinstance(job, orm.CalcJobNode) and 'remote_folder' in job.outputs:
                folder = job.outputs.remote_folder
                if not folder.is_cleaned:
                    folders.setdefault(str(job.computer.label if job.computer else ''), []).append(folder)
    problems = []
    for label, those in folders.items():
        try:
            with those[0].get_authinfo().get_transport() as transport:
                for folder in those:
                    folder._clean(transport)
        except Exception as error:  # noqa: BLE001  # each transport raises what its library raises; it is reported
            problems.append(f'{label}: {error}')
    return f'work directories could not be cleaned ({"; ".join(problems)})' if problems else ''
