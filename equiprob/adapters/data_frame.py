"""Estimators of tables whose columns are of many kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.adapters.averaged_estimator import estimator_of
from equiprob.adapters.scikit_learn import Method, SklearnPredictor, from_sklearn
from equiprob.arguments.checked import checked
from equiprob.orbits.evaluate import evaluate_orbits
from equiprob.orbits.table import OrbitTable

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class TableRows:
    """How the columns of a table become a dict of arrays, and rows of it a table again.

    Args:
        columns: The columns that each leaf holds, those of its components.
        order: All columns, in the order of the table.
        dtypes: The dtype of each column that is no part of a leaf of several.
        values: What the numbers of columns stand for that are no arrays of numbers, in the dtype of
            the column; -1 stands for a missing value.
    """

    columns: Mapping[str, tuple[Any, ...]]
    order: tuple[Any, ...]
    dtypes: Mapping[Any, Any]
    values: Mapping[Any, Any]

    @classmethod
    def of(cls, frame: pd.DataFrame, columns: Mapping[str, Sequence[Any]]) -> TableRows:
        """Return how this table, and others of its kind, become arrays.

        Raises:
            ValueError: If a column is missing, named twice, or in a leaf and not of numbers.
        """
        grouped = {name: tuple(each) for name, each in columns.items()}
        named = [column for each in grouped.values() for column in each]
        missing = [column for column in named if column not in frame.columns]
        twice = [c for c in named if named.count(c) > 1] + list(
            frame.columns[frame.columns.duplicated()]
        )
        if missing or twice:
            what = f"{missing}, which are no columns" if missing else f"{twice} more than once"
            raise ValueError(f"columns names {what}; the table has {list(frame.columns)}")
        for column in named:
            if frame[column].dtype.kind not in "iuf" or frame[column].isna().any():
                raise ValueError(
                    f"column {column!r} shall move, so it must hold numbers, none missing; it has "
                    f"dtype {frame[column].dtype} and {int(frame[column].isna().sum())} missing: "
                    f"drop these rows, or leave the column out of columns"
                )
        rest = [column for column in frame.columns if column not in named]
        clash = [str(column) for column in rest if str(column) in grouped]
        if clash:
            raise ValueError(f"columns gives {clash} as a name, which is a column, too")
        leaves = grouped | {str(column): (column,) for column in rest}
        values = {c: _values(frame[c]) for c in rest if not _is_plain(frame[c])}
        dtypes = {column: frame[column].dtype for column in rest}
        return cls(leaves, tuple(frame.columns), dtypes, values)

    def arrays(self, frame: pd.DataFrame) -> dict[str, Array]:
        """Return a table as arrays, rows first.

        Raises:
            ValueError: If a column is missing, or holds what none did.
        """
        missing = [column for column in self.order if column not in frame.columns]
        if missing:
            raise ValueError(f"the table has no columns {missing}, but {list(frame.columns)}")
        return {name: self._leaf(each, frame) for name, each in self.columns.items()}

    def _leaf(self, columns: tuple[Any, ...], frame: pd.DataFrame) -> Array:
        if columns[0] not in self.dtypes:
            return frame[list(columns)].to_numpy(dtype=np.float64)
        column = frame[columns[0]]
        if columns[0] not in self.values:
            return column.to_numpy()
        known = self.values[columns[0]]
        codes = known.get_indexer(column).astype(np.int32)
        unknown = column[(codes < 0) & column.notna().to_numpy()]
        if len(unknown):
            raise ValueError(f"column {columns[0]!r} holds {unknown.iloc[0]!r}, which no row did")
        return codes

    def frame(self, x: Mapping[str, Array]) -> pd.DataFrame:
        """Return rows of arrays as a table, with the columns' own dtypes."""
        import pandas as pd

        made: dict[Any, Any] = {}
        for name, columns in self.columns.items():
            values = np.asarray(x[name])
            if columns[0] not in self.dtypes:
                made |= dict(zip(columns, values.T, strict=True))
            elif columns[0] in self.values:
                known = self.values[columns[0]]
                found = known.take(np.maximum(values, 0)) if len(known) else known
                series = pd.Series(found if len(known) else [None] * len(values))
                made[columns[0]] = series.where(values >= 0).astype(self.dtypes[columns[0]])
            else:
                made[columns[0]] = values.astype(self.dtypes[columns[0]])
        return pd.DataFrame(made)[list(self.order)]


def _is_plain(column: Any) -> bool:
    """Whether a column is an array of numbers or booleans, none missing."""
    kind = getattr(column.dtype, "kind", "O")
    return isinstance(column.dtype, np.dtype) and kind in "biuf" and not column.isna().any()


def _values(column: Any) -> Any:
    """Return the values that a column holds, in order where they have one."""
    import pandas as pd

    found = pd.Index(column.dropna().unique())
    try:
        return found.sort_values()
    except TypeError:  # strings beside numbers
        return found


@final
@dataclass(frozen=True, eq=False)
class TableModel:
    """An estimator and a table as a model and its rows; made by `from_dataframe`.

    Args:
        estimator: The estimator, or a function of a table.
        predict_table: What it answers for a table.
        rows: How tables become arrays.
        x: The table as a dict of arrays, rows first.
    """

    estimator: Any
    predict_table: Callable[[Any], Any]
    rows: TableRows
    x: Mapping[str, Array]

    def __call__(self, x: Mapping[str, Array]) -> Array:
        """Return the estimator's answers for a batch of rows."""
        values = np.asarray(self.predict_table(self.rows.frame(x)))
        return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float64)

    def acts_on(self, **words: Any) -> dict[str, Any]:
        """Return a declaration of all leaves: those that are named, and the rest invariant.

        Args:
            **words: How leaves move: ``xy="points"``.

        Raises:
            ValueError: If there is no such leaf.
        """
        unknown = sorted(set(words) - set(self.x))
        if unknown:
            raise ValueError(f"there is nothing called {unknown}; the leaves are {list(self.x)}")
        return dict.fromkeys(self.x, "invariant") | words

    def orbits(self, transform: Any, **options: Any) -> OrbitTable:
        """Evaluate the estimator on the table and on transformations of it.

        Args:
            transform: The transform, declared by ``acts_on=model.acts_on(xy="points")``.
            **options: Arguments of `evaluate_orbits`: ``y``, ``n_transforms``, ``groups`` ...
        """
        given: dict[str, Any] = {"backend": "python"} | options
        return evaluate_orbits(self, self.x, transform, **given)

    def labels(self, y: Any) -> NDArray[np.int64]:
        """Return class labels of any kind as places among the classifier's classes.

        Raises:
            ValueError: If the estimator is no classifier, or does not know a label.
        """
        classes = getattr(self.estimator, "classes_", None)
        if classes is None:
            raise ValueError("the estimator has no classes_: pass y as numbers")
        places = {label: place for place, label in enumerate(np.asarray(classes).tolist())}
        given = np.asarray(y).tolist()
        unknown = {label for label in given if label not in places}
        if unknown:
            raise ValueError(f"y holds {sorted(map(str, unknown))}; the classes are {list(places)}")
        return np.array([places[label] for label in given])

    def estimator_of(self, predict: Callable[[Any], Any] | None = None) -> Any:
        """Return a function of this model's rows as an estimator of tables.

        Args:
            predict: The function, such as ``level.predictor(model)``; the model when left out.
        """
        return estimator_of(predict or self, self.rows.arrays, self.estimator)


@checked
def from_dataframe(
    estimator: Any,
    frame: Any,
    *,
    columns: Mapping[str, Sequence[Any]],
    method: Method | None = None,
) -> TableModel:
    """Make a model and its rows of an estimator of tables and a table.

    Args:
        estimator: A fitted estimator or pipeline of scikit-learn that takes a DataFrame, or any
            function of one.
        frame: The table, a pandas DataFrame: rows that the estimator was not trained on.
        columns: What moves: columns by the name of the leaf that they are components of,
            ``{"xy": ["px", "py"]}``. All other columns, of strings, categories, dates, numbers or
            missing values, reach the estimator as they are.
        method: As for `from_sklearn`.

    Returns:
        The model: ``model.orbits(transform)`` is its table, and ``model.acts_on(xy="points")`` what
        the transform acts on.

    Raises:
        TypeError: If `frame` is no DataFrame.
        ValueError: If a column is missing, named twice or does not hold numbers that could move; as
            of `from_sklearn`.

    Examples:
        >>> import numpy as np
        >>> import pandas as pd
        >>> import equiprob as ep
        >>> rng = np.random.default_rng(0)
        >>> frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["px", "py"])
        >>> frame["kind"] = rng.choice(["car", "bus"], size=60)
        >>> def speed(table):
        ...     return np.hypot(table["px"], table["py"]) * (1 + (table["kind"] == "car"))
        >>> model = ep.adapters.from_dataframe(speed, frame, columns={"xy": ["px", "py"]})
        >>> turns = ep.transforms.rotations2d(acts_on=model.acts_on(xy="vectors"))
        >>> print(model.orbits(turns, n_transforms=4))
        orbit table: 60 rows x 4 transformations of rotations2d(up to 180 degrees), quasi
        design, outputs ['output'], python backend
    """
    if not (hasattr(frame, "columns") and hasattr(frame, "iloc") and hasattr(frame, "dtypes")):
        raise TypeError(f"frame must be a pandas DataFrame, got a {type(frame).__name__}")
    rows = TableRows.of(frame, columns)
    if hasattr(estimator, "fit"):
        predictor: SklearnPredictor = from_sklearn(estimator, method=method)
        answer = getattr(estimator, predictor.method)
    elif callable(estimator):
        answer = estimator
    else:
        raise TypeError(
            f"estimator must be fitted, or a function of a table, got {estimator!r:.80}"
        )
    return TableModel(estimator, answer, rows, rows.arrays(frame))
