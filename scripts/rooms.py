"""Print the rooms of the code, their code lines and what they import, read from the code itself.

    python scripts/rooms.py            a table for reading
    python scripts/rooms.py --mermaid  the graph in CONTRIBUTING.md

A room is a folder of `aiida_sis`, or the whole of `aiida_deepmd`. Imports inside functions and for type checking count
like all others. A code line is one that is neither blank nor comment nor docstring.
"""

from __future__ import annotations

import ast
import sys
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
NO_CODE = (
    tokenize.ENCODING,
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)
PACKAGES = ('aiida_deepmd', 'aiida_sis')
#: From the ground up: a room imports from the floors below it, never from its own or from one above.
FLOORS = (
    ('aiida_deepmd', 'command_lines'),
    ('core',),
    ('structures',),
    ('calculations',),
    ('parsers',),
    ('workflows',),
    ('run',),
    ('show', 'share', 'setup'),
    ('cli',),
)


def modules() -> dict[str, Path]:
    """Find every module of the packages.

    :returns: its file under its dotted name.
    """
    files = [file for package in PACKAGES for file in sorted((ROOT / package).rglob('*.py'))]
    return {'.'.join(file.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): file for file in files}


def room_of(module: str) -> str:
    """Say in which room a module is.

    :param module: dotted name.
    :returns: `aiida_deepmd`, or what follows `aiida_sis`; `aiida_sis` itself for its version.
    """
    package, *rest = module.split('.')
    return rest[0] if package == 'aiida_sis' and rest else package


def imported(file: Path) -> set[str]:
    """Find what a module imports, wherever in it.

    :param file: the module.
    :returns: dotted names, of modules or of names in them.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {f'{node.module}.{alias.name}' for alias in node.names}
    return found


def arrows() -> dict[tuple[str, str], int]:
    """Count which room imports from which.

    :returns: how many modules of the first room import from the second.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for module, file in modules().items():
        targets = {room_of(name) for name in imported(file) if name.split('.')[0] in PACKAGES}
        counts.update((room_of(module), target) for target in targets - {room_of(module), 'aiida_sis', '__version__'})
    return dict(counts)


def code_lines(file: Path) -> int:
    """Count the lines of a file that are neither blank nor comment nor docstring.

    :param file: a Python file.
    """
    lines: set[int] = set()
    with file.open('rb') as handle:
        for token in tokenize.tokenize(handle.readline):
            if token.type not in NO_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def sizes() -> dict[str, tuple[int, int]]:
    """Count files and code lines of each room.

    :returns: both under the name of the room.
    """
    counts: dict[str, tuple[int, int]] = {}
    for module, file in modules().items():
        files, lines = counts.get(room_of(module), (0, 0))
        counts[room_of(module)] = (files + 1, lines + code_lines(file))
    return counts


def mermaid() -> str:
    """Draw the rooms as a graph, without the arrows that a path over other rooms implies."""
    found = arrows()
    below = {room: {target for source, target in found if source == room} for floor in FLOORS for room in floor}
    reached: dict[str, set[str]] = {}
    for room in (room for floor in FLOORS for room in floor):
        reached[room] = below[room].union(*(reached.get(target, set()) for target in below[room]))
    lines = ['graph TD']
    lines += [f'  {room}' for floor in reversed(FLOORS) for room in floor]
    for room, target in sorted(found):
        if not any(target in reached.get(other, ()) for other in below[room] - {target}):
            lines.append(f'  {room} --> {target}')
    return '\n'.join(lines)


def table() -> str:
    """Write the rooms as a table, the ground floor at the bottom."""
    counts, found = sizes(), arrows()
    lines = [f'{"room":14}{"files":>7}{"code":>8}  imports from']
    for room in (room for floor in reversed(FLOORS) for room in floor):
        below = ', '.join(target for source, target in sorted(found) if source == room)
        lines.append(f'{room:14}{counts[room][0]:7}{counts[room][1]:8}  {below}')
    files, code = (sum(one[part] for one in counts.values()) for part in (0, 1))
    return '\n'.join([*lines, f'{"all":14}{files:7}{code:8}'])


if __name__ == '__main__':
    print(mermaid() if '--mermaid' in sys.argv[1:] else table())
