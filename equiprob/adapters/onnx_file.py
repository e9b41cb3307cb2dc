"""ONNX files, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.arguments.whole_files import replacing
from equiprob.transforms.extras import require

_DTYPES = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


@final
@dataclass(frozen=True, eq=False)
class OnnxPredictor:
    """An ONNX model as a callable; made by `from_onnx`.

    Args:
        session: ONNX Runtime's session.
        outputs: Names of the outputs that are returned.
        source: The path of the file, or its bytes; None for a session of the user's own.
    """

    session: Any
    outputs: tuple[str, ...]
    source: bytes | str | None = None

    def __call__(self, x: Any) -> Any:
        """Return the output for a batch of rows, or a dict of outputs."""
        feed = self._feed(x)
        size = self._fixed_size
        n = len(next(iter(feed.values())))
        parts = [self._run(feed, slice(i, i + (size or n))) for i in range(0, n, size or n)]
        each = list(zip(*parts, strict=True))
        for name, outputs in zip(self.outputs, each, strict=True):
            if any(np.ndim(output) == 0 for output in outputs):
                raise ValueError(
                    f"output {name!r} of the model is one number for all rows of a batch; export "
                    f"the model with outputs that have rows first, or choose another of "
                    f"{[o.name for o in self.session.get_outputs()]}"
                )
        joined = [np.concatenate(outputs)[:n] for outputs in each]
        return joined[0] if len(self.outputs) == 1 else dict(zip(self.outputs, joined, strict=True))

    def save_average(self, average: Any, path: str | PathLike[str], rows: Any) -> Path:
        """Write an average of this model as one ONNX file, with the model's inputs and outputs.

        Args:
            average: What ``level.predictor(predict)`` returned, for this model.
            path: The file to write.
            rows: A few inputs, on which the file is held against the average.

        Returns:
            The path.

        Raises:
            ImportError: Without the package ``onnx``.
            TypeError: If `average` is no average of this model.
            ValueError: If the model was a session or takes a fixed number of rows, a row or output
                has more than 16,384 numbers, or moves in a way that depends on the row.
        """
        onnx = require("onnx", extra="onnx")
        from equiprob.adapters.averaged_graph import averaged_graph, check_agreement

        if getattr(average, "predict", None) is not self:
            raise TypeError(
                f"average must be what level.predictor(predict) returns for this model, got "
                f"{type(average).__name__}"
            )
        if self.source is None or self._fixed_size is not None:
            raise ValueError(
                "the graph of a model is made of its file, exported for any number of rows; this "
                "one is a session, or takes a fixed number"
            )
        proto = (
            onnx.load_from_string(self.source)
            if isinstance(self.source, bytes)
            else onnx.load(self.source)
        )
        names = [each.name for each in self.session.get_inputs()]
        if isinstance(rows, Mapping):
            names = sorted(names)  # as the leaves of a dict are
        graph = averaged_graph(average, proto, names, list(self.outputs), rows)
        made = graph.SerializeToString()
        check_agreement(average, from_onnx(made, outputs=list(self.outputs)), rows)
        with replacing(Path(path)) as partial:
            partial.write_bytes(made)
        return Path(path)

    def _run(self, feed: dict[str, NDArray[Any]], rows: slice) -> list[NDArray[Any]]:
        """Run some rows; a file exported for a fixed number of rows gets its last ones again."""
        part = {name: values[rows] for name, values in feed.items()}
        missing = (rows.stop - rows.start) - len(next(iter(part.values())))
        if missing:
            part = {k: np.concatenate([v, np.repeat(v[-1:], missing, 0)]) for k, v in part.items()}
        return self.session.run(list(self.outputs), part)

    @property
    def _fixed_size(self) -> int | None:
        """The number of rows that the file was exported for, if it is fixed."""
        shape = self.session.get_inputs()[0].shape
        first = shape[0] if shape else None  # some files do not say what they take
        return first if isinstance(first, int) and first > 0 else None

    def _feed(self, x: Any) -> dict[str, NDArray[Any]]:
        """Return the arrays that the model's inputs are fed, in their dtypes."""
        inputs = self.session.get_inputs()
        names = [i.name for i in inputs]
        if not isinstance(x, Mapping):
            if len(names) > 1:
                raise ValueError(f"the model has the inputs {names}: pass x as a dict of them")
            x = {names[0]: x}
        if set(x) != set(names):
            raise ValueError(f"the model has the inputs {names}, and x the leaves {list(x)}")
        return {i.name: _fitted(np.asarray(x[i.name]), i) for i in inputs}


def _fitted(values: NDArray[Any], described: Any) -> NDArray[Any]:
    """Return an array in the dtype of a model's input, rows flattened where that takes vectors."""
    values = values.astype(_dtype(described), copy=False)
    wanted = described.shape
    if not wanted or len(wanted) == values.ndim:
        return values
    if len(wanted) == 2 and values.ndim > 2:
        return values.reshape(len(values), -1)
    raise ValueError(
        f"input {described.name!r} of the model takes arrays of shape {tuple(wanted)}, rows first, "
        f"got {values.shape}: pass arrays with as many axes (for images, often "
        f"(row, channel, height, width), declared 'image_channels_first')"
    )


def _dtype(described: Any) -> Any:
    if described.type not in _DTYPES:
        raise ValueError(
            f"input {described.name!r} is a {described.type}; expected {list(_DTYPES)}"
        )
    return _DTYPES[described.type]


@checked
def from_onnx(model: Any, *, outputs: str | Sequence[str] | None = None) -> OnnxPredictor:
    """Make a callable of an ONNX model.

    Args:
        model: The path of a file, or its bytes, or an ``onnxruntime.InferenceSession`` of your own
            (for another device). Files and bytes run on the CPU.
        outputs: The outputs to return, by name; all when left out. One is returned as an array,
            several as a dict.

    Returns:
        The callable. A dict input has the names of the model's inputs; numbers are cast to the
        model's dtypes, and rows flattened for an input that takes vectors.

    Raises:
        ImportError: Without the extra ``onnx``.
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no ONNX model, or the model has no inputs or no such output.
    """
    runtime = require("onnxruntime", extra="onnx")
    session = model
    if isinstance(model, bytes | str | PathLike):
        session = _session(runtime, model)
    if not hasattr(session, "get_outputs"):
        raise TypeError(
            f"model must be the path of an ONNX file, its bytes, or an InferenceSession, got "
            f"{model!r:.80}"
        )
    if not session.get_inputs():
        raise ValueError(
            "the model takes no inputs, so that nothing can be transformed: export it with rows "
            "as an input, not as a constant"
        )
    there = [output.name for output in session.get_outputs()]
    chosen = there if outputs is None else [outputs] if isinstance(outputs, str) else list(outputs)
    unknown = [name for name in chosen if not isinstance(name, str) or name not in there]
    if unknown or not chosen:
        raise ValueError(f"outputs asks for {unknown or 'nothing'}, but the model has {there}")
    source = model if isinstance(model, bytes) else None
    if isinstance(model, str | PathLike):
        source = fspath(model)
    return OnnxPredictor(session, tuple(chosen), source)


def _session(runtime: Any, model: bytes | str | PathLike[str]) -> Any:
    """Return a session of a file or of its bytes, on the CPU."""
    name = "these bytes" if isinstance(model, bytes) else fspath(model)
    if not isinstance(model, bytes) and not Path(name).is_file():
        raise FileNotFoundError(f"there is no ONNX file {name}")
    source = model if isinstance(model, bytes) else name
    try:
        return runtime.InferenceSession(source, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has exceptions of its own for each way to fail
        raise ValueError(
            f"{name} cannot be read as an ONNX model ({error}): export the model again, or pass a "
            f"session of your own"
        ) from error
