"""The options of the isolated profile."""

from __future__ import annotations

from typing import Any

from aiida_sis.setup.profile import set_options


def test_failed_copies_are_tried_for_minutes(aiida_config: Any, aiida_profile: Any) -> None:
    """AiiDA's own patience, also in a profile of an earlier version: a disk may be missing for a minute."""
    name, scope = 'transport.task_retry_initial_interval', aiida_profile.name
    for earlier, now in ((2, 20), (60, 60)):
        aiida_config.set_option(name, earlier, scope=scope)
        set_options(aiida_config, scope)
        assert aiida_config.get_option(name, scope=scope) == now
    aiida_config.unset_option(name, scope=scope)
