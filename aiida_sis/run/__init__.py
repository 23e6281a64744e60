"""Questions to the provenance graph, answered as typed rows: the functions behind ``aiida-sis query``.

Each function asks AiiDA's QueryBuilder for projected columns and loads no node, so that it stays fast in a large
database, on SQLite and PostgreSQL alike. What a workchain was for is read off the label of its call link
(:mod:`aiida_sis.core.loop.call_labels`), which every archive holds.
"""

from aiida_sis.run.cost import costs
from aiida_sis.run.models import models
from aiida_sis.run.origins import origins, training_frames
from aiida_sis.run.rows import CatastropheRow, CostRow, FramesRow, ModelRow, NodeRef, OriginRow, RunRow, UseRow
from aiida_sis.run.runs import catastrophes, runs, uses_of

__all__ = (
    'CatastropheRow',
    'CostRow',
    'FramesRow',
    'ModelRow',
    'NodeRef',
    'OriginRow',
    'RunRow',
    'UseRow',
    'catastrophes',
    'costs',
    'models',
    'origins',
    'runs',
    'training_frames',
    'uses_of',
)
