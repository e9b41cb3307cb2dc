"""Writes ``equiprob/__init__.pyi``, what type checkers know of the names that are imported late.

Run it after a name was added: ``python tests/stub.py``.
"""

from pathlib import Path

import equiprob

STUB = Path(equiprob.__file__).with_suffix(".pyi")


def stub():
    """Return the stub that belongs to the names of the package."""
    names, lines, renamed = equiprob._WHERE, [], ""
    for name, where in names.items():
        is_module = where.endswith(".")
        module, found = where.removesuffix(".").rsplit(".", 1) if is_module else (where, name)
        again = f" as {found}" if found == name else ""  # so that it is a name of ours, too
        lines.append(f"from {module} import {found}{again}\n")
        if found != name:
            renamed += f"{name} = {found}\n"
    shown = "".join(f'    "{name}",\n' for name in equiprob.__all__)
    return "".join(sorted(lines)) + f"\n__version__: str\n{renamed}__all__ = [\n{shown}]\n"


if __name__ == "__main__":
    STUB.write_text(stub())
