#!/usr/bin/env bash
# freud and chemfiles give distances in a plain hexagonal cell that are not the shortest, for one pair of atoms in five.
#
# One would expect   a function that "takes periodic boundary conditions into account" to give the distance to the nearest
#                    image, at least in the hexagonal cell of zinc, ice or graphite (angles 90, 90, 120).
# What happens       both round the fractional coordinates to the nearest cell. That is the nearest image in a rectangular
#                    cell only. In any other it is right below half the smallest height of the cell, and beyond that it
#                    depends on the pair. No warning; the cell need not be skewed.
# Seen with          freud-analysis 3.4.0 (Box.compute_distances, Box.wrap), chemfiles 0.10.4 (Frame.distance).
#                    ASE 3.29, pymatgen 2026.10, MDAnalysis 2.11 and mdtraj 1.11 were right in the same test, for 300
#                    pairs in each of six cells.
# Why it matters     bond lengths, hopping distances and displacements between frames in primitive and hexagonal cells,
#                    where half the height is only 2 to 5 Å. In the primitive cell of an fcc metal it is more than a quarter of the pairs.
#                    freud's neighbour lists are safe: they refuse a radius above half the height.
# Documented?        no: freud says that wrapping "is equivalent to applying the minimum image convention", chemfiles that
#                    periodic boundary conditions are taken into account. That rounding fails in such cells is known (MDAnalysis's
#                    issue 1475, mdtraj's 1019, both mended); of these two libraries no report was found.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m venv venv
venv/bin/pip install --quiet freud-analysis==3.4.0 chemfiles==0.10.4

cat > try.py <<'PYTHON'
import importlib.metadata
import itertools
import sys

import chemfiles
import freud
import numpy as np

IMAGES = np.array(list(itertools.product(range(-3, 4), repeat=3)))


def vectors(a, b, c, alpha, beta, gamma):
    """Cell vectors as rows, the first along x."""
    cosines = np.cos(np.radians([alpha, beta, gamma]))
    sine = np.sin(np.radians(gamma))
    y = (cosines[0] - cosines[1] * cosines[2]) / sine
    z = np.sqrt(1 - cosines[1] ** 2 - y**2)
    return np.array([[a, 0, 0], [b * cosines[2], b * sine, 0], [c * cosines[1], c * y, c * z]])


for package in ('freud-analysis', 'chemfiles'):
    print(package, importlib.metadata.version(package))
generator = np.random.default_rng(0)
seen = True
for name, cell, expected in (
    ('cubic', (4, 4, 4, 90, 90, 90), 0),
    ('hexagonal', (4, 4, 9, 90, 90, 120), 0.2),
    ('fcc, primitive', (4, 4, 4, 60, 60, 60), 0.27),
):
    rows = vectors(*cell)
    box = freud.box.Box.from_matrix(rows.T)
    wrong = {'freud': 0, 'chemfiles': 0}
    worst = (0.0, 0.0)
    for _ in range(400):
        first, second = generator.random((2, 3)) @ rows
        nearest = np.linalg.norm(second - first + IMAGES @ rows, axis=1).min()
        frame = chemfiles.Frame()
        frame.cell = chemfiles.UnitCell(rows.T.copy())
        frame.add_atom(chemfiles.Atom('Ar'), first)
        frame.add_atom(chemfiles.Atom('Ar'), second)
        found = {
            'freud': float(box.compute_distances(first[None], second[None])[0]),
            'chemfiles': frame.distance(0, 1),
        }
        for library, distance in found.items():
            if abs(distance - nearest) > 1e-3:
                wrong[library] += 1
                worst = max(worst, (distance - nearest, nearest))
    print(f'{name:15s} of 400 pairs wrong: {wrong}; the worst {worst[1]:.3f} Å, given as {sum(worst):.3f} Å')
    seen &= all(abs(number / 400 - expected) < 0.06 for number in wrong.values()) and (expected > 0 or worst[0] == 0)
print('as seen before' if seen else 'CHANGED')
sys.exit(not seen)
PYTHON
venv/bin/python try.py
