"""How often the temperature of stable MD leaves a limit, beside what the chi-square law says.

All stable MD of a profile that lasted 10 ps or longer are read, each with its own temperature and degrees of freedom.
An event is the step over a limit, given as a fraction of the temperature that the thermostat holds. The last column is
the time between two independent temperatures that makes law and events agree. Use:

`AIIDA_PATH=$PWD/.sis verdi run studies/windows.py`
"""

from __future__ import annotations

from collections import defaultdict

from aiida import orm
from scipy.stats import chi2

from aiida_sis.core.indicator import degrees_of_freedom

LIMITS = (0.2, 0.23, 0.27, 0.3, 0.33, 0.4, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8)

stable = orm.QueryBuilder()
of = {'process_type': 'aiida.workflows:sis.explore'}
stable.append(orm.WorkChainNode, filters=of, tag='md', project='*')
long = {'attributes.stable': True, 'attributes.length_ps_reached': {'>=': 10.0}}
stable.append(orm.Dict, with_incoming='md', edge_filters={'label': 'results'}, filters=long)

length = 0.0
events: dict[float, int] = defaultdict(int)
expected: dict[float, float] = defaultdict(float)
for (md,) in stable.all():
    inputs = md.inputs.md
    fixed = inputs.fixed_atoms.get_list() if 'fixed_atoms' in inputs else []
    n_dof = degrees_of_freedom(len(inputs.structure.sites), len(fixed))
    late = md.outputs.series.get_array('time_ps') >= 1.0
    temperature = md.outputs.series.get_array('temperature')[late] / inputs.parameters['temperature_k']
    picoseconds = md.outputs.results['length_ps_reached'] - 1.0
    length += picoseconds
    for limit in LIMITS:
        outside = temperature < limit if limit < 1 else temperature > limit
        events[limit] += int((outside[1:] & ~outside[:-1]).sum())
        probability = chi2.cdf(n_dof * limit, n_dof) if limit < 1 else chi2.sf(n_dof * limit, n_dof)
        expected[limit] += float(probability) * picoseconds

print(f'{length:.0f} ps of stable MD')
print(' limit  events  a new chance every')
for limit in LIMITS:
    interval = f'{1000 * expected[limit] / events[limit]:.1f} fs' if events[limit] else ''
    print(f'{limit:4.2f} T  {events[limit]:6d}  {interval}')
