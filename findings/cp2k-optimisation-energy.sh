#!/usr/bin/env bash
# The energy of a geometry optimisation by CP2K 2025 is read as 1.0 hartree: the number of its first step.
#
# One would expect   the energy, or, since CP2K 2025.1 writes `energy [hartree]   -39.8` where it wrote
#                    `energy [a.u.]:   -39.8`, none at all.
# What happens       of a single point or an MD there is indeed none. But the reader takes everything up to the next colon
#                    for the rest of the energy's name, over as many lines as it takes. In an optimisation that colon is
#                    the one of `OPTIMIZATION STEP:      1`, so "total force_eval" is 1.0. Nothing warns of it.
# Seen with          cp2k-output-tools 0.5.0 (the newest), on output in the form of CP2K 2025.1; first on the whole output
#                    of a GFN1-xTB optimisation of ten atoms. The older form is read right.
# Why it matters     1.0 is a number like any other in a table, and the difference of two optimised structures is 0.0.
#                    aiida-cp2k's `Cp2kToolsParser` takes its energy from this reader.
# Documented?        the new form of the line is known (dpdata issue 850, cp2kdata issue 93, "no energy is found"); the wrong
#                    number is in none of them, nor in the issues of cp2k-output-tools that were searched.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet cp2k-output-tools==0.5.0

output() { # output LINE: an optimisation after its first energy, in the words of CP2K
  cat <<OUT

 $1

 OPT| **************************************************************************
 OPT| Step number                                                              0
 OPT| Optimization method                                                   BFGS
 OPT| Total energy [hartree]                                      -39.8431001473
 OPT| Used time [s]                                                       13.015
 OPT| **************************************************************************
 OPT| Estimated peak process memory [MiB]                                    135

 --------------------------
 OPTIMIZATION STEP:      1
 --------------------------
OUT
}
output 'ENERGY| Total FORCE_EVAL ( QS ) energy [a.u.]:              -39.843100147312285' > before.out
output 'ENERGY| Total FORCE_EVAL ( QS ) energy [hartree]            -39.843100147315930' > now.out

cat > read.py <<'PYTHON'
import sys

from cp2k_output_tools import parse_iter

found = {}
for block in parse_iter(open(sys.argv[1]).read()):
    found |= block
print(found.get('energies'))
PYTHON
before=$(venv/bin/python read.py before.out)
now=$(venv/bin/python read.py now.out)
echo "cp2k-output-tools 0.5.0, $(venv/bin/python --version)"
echo "energy [a.u.]: -39.843100147312285    is read as $before"
echo "energy [hartree] -39.843100147315930  is read as $now"
if [ "$before" = "{'total force_eval': -39.843100147312285}" ] && [ "$now" = "{'total force_eval': 1.0}" ]; then
  echo 'as seen before: the energy is the number of the step'
  exit 0
fi
echo 'CHANGED' >&2
exit 1
