"""Which helper turns the rows of other packages into arrays?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def require_arrays(x: Any) -> None:
    """Refuse rows that are objects of other packages, by the name of what takes them.

    They are told by what they can do, so that none of these packages is imported.

    Raises:
        TypeError: If they are such.
    """
    found = _helper(x)
    if found is not None:
        what, instead = found
        raise TypeError(f"x is {what}, not arrays with rows first: pass {instead}")


def _helper(x: Any) -> tuple[str, str] | None:
    """Return what rows are, and what to pass instead; None for arrays and for what is unknown."""
    if hasattr(x, "with_format") and hasattr(x, "column_names"):  # it has a shape, too
        return (
            "a Hugging Face dataset",
            f"x.with_format('numpy')[:] and the columns that the model takes, which are among "
            f"{list(getattr(x, 'column_names', ()))}",
        )
    if hasattr(x, "shape") and not hasattr(x, "iloc"):
        return None
    first = x[0] if isinstance(x, list | tuple) and x else x
    packages = {kind.__module__.partition(".")[0] for kind in type(first).__mro__}
    if hasattr(first, "get_chemical_symbols"):
        return (
            "a list of ase.Atoms",
            "model = ep.adapters.from_ase(calculator, atoms), then model.orbits(model.rotations())",
        )
    if "torch_geometric" in packages:
        return (
            f"made of {type(first).__name__} of PyTorch Geometric",
            "model = ep.adapters.from_graphs(network, graphs), then "
            "model.orbits(model.permutations())",
        )
    if first is not x and isinstance(first, Mapping):
        return (
            f"a list of {len(x)} dicts, one for each row",
            "x, masks = ep.padded(rows), or, for a model that takes such lists, "
            "model = ep.adapters.from_rows(predict, rows), then model.orbits(transform)",
        )
    if hasattr(x, "iloc") and hasattr(x, "dtypes"):
        kinds = getattr(x, "dtypes", ())
        columns = kinds if hasattr(kinds, "__iter__") else [kinds]
        if any(getattr(kind, "kind", "O") not in "biuf" for kind in columns):
            return (
                "a table with columns that are no numbers",
                "model = ep.adapters.from_dataframe(estimator, frame, columns={'xy': ['px', "
                "'py']}), then model.orbits(transform)",
            )
        return None
    is_dataset = any(kind.__module__.startswith("torch.utils") for kind in type(x).__mro__)
    if is_dataset and hasattr(x, "__getitem__"):
        return (
            f"a Dataset of PyTorch, {type(x).__name__}",
            "a loader of it, whose batches are the inputs or (inputs, targets): "
            "torch.utils.data.DataLoader(x, batch_size=128)",
        )
    return None
