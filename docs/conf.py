"""Settings of Sphinx. Nothing here needs the network."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from aiida_sis import __version__


def load_profile_in_memory() -> None:
    """Load a profile that leaves no trace, because `aiida-workchain` builds ports whose defaults are nodes.

    Importing AiiDA makes its folder, which must not be the user's own.
    """
    os.environ['AIIDA_PATH'] = tempfile.mkdtemp(prefix='aiida-sis-docs-')
    from aiida import load_profile
    from aiida.storage.sqlite_temp import SqliteTempBackend

    load_profile(SqliteTempBackend.create_profile('docs'), allow_switch=True)


load_profile_in_memory()
sys.path.insert(0, str(Path(__file__).parent / 'extensions'))

project = 'aiida-sis'
author = 'The aiida-sis developers'
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.viewcode', 'sphinx_click', 'aiida.sphinxext']
extensions += ['settings_table']
# Links into the pages of others need the network, so they are asked for: SIS_DOCS_INTERSPHINX=1 make docs
if os.environ.get('SIS_DOCS_INTERSPHINX'):
    extensions.append('sphinx.ext.intersphinx')
    intersphinx_mapping = {
        'python': ('https://docs.python.org/3', None),
        'aiida': ('https://aiida.readthedocs.io/projects/aiida-core/en/stable', None),
        'numpy': ('https://numpy.org/doc/stable', None),
    }

exclude_patterns = ['_build', 'extensions']
myst_heading_anchors = 4

autodoc_member_order = 'bysource'
autodoc_default_options = {'members': True, 'exclude-members': 'model_config'}
python_use_unqualified_type_names = True

html_theme = 'furo'
html_title = f'aiida-sis {__version__}'
