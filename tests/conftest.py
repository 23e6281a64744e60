"""Fixtures for the three tiers of test: pure, AiiDA without real codes, the real codes."""

pytest_plugins = 'aiida.tools.pytest_fixtures'
