"""The end of an AIMD, from the restart file of CP2K."""

from __future__ import annotations

import pytest

from aiida_deepmd.units import ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS
from aiida_sis.core.cp2k.restart import read_restart

# Lines of a restart file of CP2K 2023.1.
RESTART = """ &FORCE_EVAL
   &SUBSYS
     &COORD
N    3.9189787179185536E+00    4.4820600983375360E+00    5.4676549861341162E+00
Li    4.5787516623393598E+00    5.3210856556884760E+00    2.7546788044181580E+00
     &END COORD
     &VELOCITY
           3.1469318758400771E-05   -5.0650264350753653E-05   -3.0516908798065525E-04
          -6.2113879045100064E-05   -1.4292228773472081E-05   -6.5751854175192669E-05
     &END VELOCITY
     &TOPOLOGY
       COORD_FILE_FORMAT  XYZ
     &END TOPOLOGY
   &END SUBSYS
 &END FORCE_EVAL
"""


def test_restart() -> None:
    state = read_restart(RESTART)
    assert state is not None
    assert state.positions[1].tolist() == [4.5787516623393598, 5.3210856556884760, 2.7546788044181580]
    assert state.velocities[0, 2] == pytest.approx(-3.0516908798065525e-04 * ATOMIC_VELOCITY_TO_ANGSTROM_PER_PS)


@pytest.mark.parametrize(
    'text',
    [
        '',
        RESTART.split('&END VELOCITY')[0],
        RESTART.replace('  -6.2113879045100064E-05', '  ********'),
        RESTART.replace('     &COORD\n', '     &COORD\n       UNIT  bohr\n'),
        RESTART.replace('N    3.9189787179185536E+00    4.4820600983375360E+00    5.4676549861341162E+00\n', ''),
    ],
)
def test_a_restart_that_cannot_be_trusted(text: str) -> None:
    assert read_restart(text) is None
