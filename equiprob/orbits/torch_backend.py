"""How is a PyTorch model called on the transformed inputs of one chunk, where the model is?

Rows and transformations go to its device once a chunk. Inputs are moved, and outputs taken back and
summed, there; nothing waits for a number until the chunk's sums are fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, final, override

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.orbits.backend import MOST_AT_ONCE, AbstractBackend, n_rows
from equiprob.orbits.inputs import take_rows
from equiprob.orbits.keys import Ids
from equiprob.orbits.noise import Noise
from equiprob.orbits.output_arrays import named_outputs
from equiprob.orbits.python_backend import PythonBackend
from equiprob.orbits.torch_device import TorchDevice
from equiprob.orbits.torch_memory import InMemory, TorchModel
from equiprob.orbits.torch_trial import moved_alike
from equiprob.transforms.acting import Acting, Moves
from equiprob.transforms.extras import require
from equiprob.transforms.law import Parameters
from equiprob.transforms.transform import Transform

_MOST_BYTES = {"cpu": 2**23}
"""Bytes of transformed inputs that are made ahead of the model, by the kind of device."""

_MOST_BYTES_ELSEWHERE = 2**26


@final
class TorchBackend(AbstractBackend):
    """A PyTorch model, once for each transformation of a chunk, on its device."""

    is_pure = False

    def __init__(
        self,
        predict: TorchModel,
        transform: Transform,
        x: Any,
        noise: Noise | None = None,
        computed_in: Mapping[Any, Any] | None = None,
        *,
        batch_dependent: bool = False,
        looked_at: int | None = None,
    ) -> None:
        """Evaluate the model on one chunk `x` as any other callable, and look what moves there.

        Raises:
            ValueError: As `PythonBackend` does.
        """
        model = InMemory(predict, may_halve=not batch_dependent)
        self._host = PythonBackend(
            model,
            transform,
            x,
            noise,
            computed_in,
            batch_dependent=batch_dependent,
            looked_at=looked_at,
        )
        self.output: Any = self._host.output
        self.differing: dict[Any, Any] = self._host.differing
        self.repeated: NDArray[np.int64] = self._host.repeated
        self.takes_fewer: bool = self._host.takes_fewer
        self.computed_in: Mapping[Any, Any] = self._host.computed_in
        self._work = DeviceWork(
            model,
            TorchDevice(predict.place),
            transform.on(x, self.output),
            self.output,
            1 if noise is None else noise.repeats,
        )
        few, of_few = jax.tree.map(np.asarray, take_rows((x, self.output), slice(0, 2)))
        self._work.try_moves(few, of_few, transform.sample_many(np.random.default_rng(0), 2 * 2))
        if noise is None:
            self._work.look_for_shared_outputs(x)
        self.pads: bool = predict.is_compiled
        self.runs_ahead: bool = not self._work.device.is_cpu

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Say who moves what."""
        return self._work.name

    @override
    def evaluate(
        self, x: Any, parameters: Parameters, ids: Ids
    ) -> tuple[list[Any], Iterator[list[Any]]]:
        return self._work.evaluate(jax.tree.map(np.asarray, x), parameters)

    @override
    def put(self, values: NDArray[Any]) -> Any:
        return self._work.device.put_sums(values)

    @override
    def fetch(self, arrays: list[Any]) -> Callable[[], list[NDArray[Any]]]:
        return self._work.device.fetch(arrays)

    @override
    def outputs_at(self, x: Any, parameters: Parameters) -> list[Any]:
        return self._host.outputs_at(x, parameters)


@dataclass(eq=False)
class DeviceWork:
    """What is done on the device of a model.

    Args:
        model: The model.
        device: Its device.
        acting: The transform on the leaves of rows and outputs.
        output: The outputs of a chunk, or their shapes and dtypes.
        repeats: Calls on each input.
        inward: Of each leaf of the rows, whether it moves on the device.
        outward: Of each leaf of the outputs, whether it is taken back there.
    """

    model: InMemory
    device: TorchDevice
    acting: Acting
    output: Any
    repeats: int = 1
    inward: tuple[bool, ...] = ()
    outward: tuple[bool, ...] = ()
    _alone: threading.Lock | None = None
    _accepted: set[Any] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Move all on the device, unless it is found that it cannot be done."""
        self.inward = self.inward or (True,) * len(self.acting.inward.actions)
        self.outward = self.outward or (True,) * len(self.acting.outward.actions)

    @property
    def name(self) -> str:
        """Say who moves what."""
        moved = [
            f"x{name} moved by the host"
            for name, here in zip(self.acting.inward.names, self.inward, strict=True)
            if not here
        ]
        names = list(named_outputs(self.output, n_rows(self.output)))
        back = [
            f"{name} taken back by the host"
            for name, here in zip(names, self.outward, strict=True)
            if not here
        ]
        by_host = ", ".join([*moved, *back])
        return f"torch ({by_host})" if by_host else "torch"

    def try_moves(self, x: Any, output: Any, parameters: Parameters) -> None:
        """Leave to the host what cannot be moved on the device, or comes out otherwise there.

        Args:
            x: A few rows.
            output: Their outputs.
            parameters: As many transformations for each of them, one after another.
        """
        n = n_rows(x)
        each = parameters[: len(parameters) // n * n].reshape(n, -1, parameters.shape[-1])
        moves = self.acting.at(each, by="transformation")
        with self._ours():
            self.inward, self.outward = moved_alike(
                moves, x, output, self.acting.users, self.device
            )

    def look_for_shared_outputs(self, x: Any) -> None:
        """Let one thread at a time call a model that writes all outputs to one place of its own."""
        batch = jax.tree.map(self.device.put_rows, jax.tree.map(np.asarray, x))
        written, again = (jax.tree.leaves(self.model.on_device(batch)) for _ in range(2))
        if {t.data_ptr() for t in written if t.numel()} & {t.data_ptr() for t in again}:
            self._alone = threading.Lock()

    def evaluate(self, x: Any, parameters: Parameters) -> tuple[list[Any], Iterator[list[Any]]]:
        """Return tensors as `AbstractBackend.evaluate` does, rows being NumPy arrays."""
        self.model.model.require_evaluation()
        moves = self.acting.at(parameters, by="transformation")
        by_host = moves.only(*([not here for here in side] for side in (self.inward, self.outward)))
        with self._ours():
            rows = jax.tree.map(self.device.put_rows, x)
            there = jax.tree.map(self.device.put_rows, moves.only(self.inward, self.outward))
        m = parameters.shape[1]
        size = self._block_size(rows, m)

        def blocks() -> Iterator[list[Any]]:
            for start in range(0, m, size):
                block = slice(start, start + size)
                n = len(range(*block.indices(m)))
                there_now, by_host_now = there.block(block), by_host.block(block)
                outputs = self._outputs(self._moved(there_now, by_host_now, rows, x, n), n)
                yield self._back(there_now, by_host_now, rows, x, outputs)

        return jax.tree.leaves(self._outputs(iter([rows]), 1)), blocks()

    def _block_size(self, rows: Any, m: int) -> int:
        """Return how many of `m` transformed copies of a chunk to make at once, in few bytes."""
        n_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(rows))
        bytes_at_most = _MOST_BYTES.get(self.device.device.type, _MOST_BYTES_ELSEWHERE)
        most = min(MOST_AT_ONCE, max(bytes_at_most // max(n_bytes, 1), 1))
        return -(-m // -(-m // most))

    def _moved(self, there: Moves, by_host: Moves, rows: Any, x: Any, n: int) -> Iterator[Any]:
        """Yield the rows moved by one of `n` transformations after another."""
        with self._ours():
            moved = list(there.each(rows, n))
        if all(self.inward):
            yield from moved
            return
        for own, others in zip(moved, by_host.each(x, n), strict=True):
            leaves, treedef = jax.tree.flatten(own)
            pairs = zip(leaves, jax.tree.leaves(others), self.inward, strict=True)
            yield treedef.unflatten(
                [leaf if here else self.device.put_rows(other) for leaf, other, here in pairs]
            )

    def _back(self, there: Moves, by_host: Moves, rows: Any, x: Any, outputs: Any) -> list[Any]:
        """Return output leaves ``(transformation and call, row, ...)``, taken back."""
        with self._ours():
            back = jax.tree.leaves(there.each_back(outputs, rows, self.repeats))
        if all(self.outward):
            return back
        there_now = jax.tree.map(lambda leaf: leaf.cpu().numpy(), outputs)
        others = jax.tree.leaves(by_host.each_back(there_now, x, self.repeats))
        pairs = zip(back, others, self.outward, strict=True)
        return [leaf if here else self.device.put_rows(other) for leaf, other, here in pairs]

    def _outputs(self, batches: Iterator[Any], n: int) -> Any:
        """Return the outputs of `n` batches ``(batch and call, row, ...)``, in the dtypes they had.

        Each is copied before the next is asked for: a model may write all of them to one place.
        """
        torch = require("torch", extra="torch")
        leaves, treedef = jax.tree.flatten(self.output)
        into: list[Any] | None = None
        for j, batch in enumerate(batches):
            rows = n_rows(batch)
            if into is None:
                into = [
                    torch.empty(
                        (n * self.repeats, rows, *leaf.shape[1:]),
                        dtype=getattr(torch, np.dtype(leaf.dtype).name),
                        device=self.device.device,
                    )
                    for leaf in leaves
                ]
            for repeat in range(self.repeats):
                with self._alone or nullcontext():
                    found = self.model.on_device(batch)
                    self._check(found, rows, treedef)
                    with torch.no_grad():
                        for whole, leaf in zip(into, jax.tree.leaves(found), strict=True):
                            whole[j * self.repeats + repeat].copy_(leaf)
        return treedef.unflatten(into)

    def _check(self, found: Any, n: int, treedef: Any) -> None:
        """Raise where outputs of `n` rows are not those that the model returned first."""
        leaves, own = jax.tree.flatten(found)
        kind = (n, own, *((leaf.shape, leaf.dtype) for leaf in leaves))
        if kind in self._accepted:  # a quick model is called often
            return
        now = _row_shapes(_shapes(found), n)
        before = _row_shapes(self.output, n_rows(self.output))
        if now != before or own != treedef:
            raise ValueError(
                f"predict returned rows of shape {before} first and {now} later; return the same "
                f"outputs for every batch"
            )
        self._accepted.add(kind)

    def _ours(self) -> AbstractContextManager[Any]:
        """Return a context in which we compute: in the digits of the rows, without derivatives."""
        return _in_full(self.device.device.type)


def _row_shapes(output: Any, n: int) -> dict[Any, tuple[int, ...]]:
    return {name: tuple(leaf.shape[1:]) for name, leaf in named_outputs(output, n).items()}


def _shapes(found: Any) -> Any:
    """Return the shapes and dtypes of tensors as those of JAX."""

    def leaf(values: Any) -> Any:
        name = str(values.dtype).removeprefix("torch.")
        return jax.ShapeDtypeStruct(tuple(values.shape), jax.numpy.dtype(name))

    return jax.tree.map(leaf, found)


@contextmanager
def _in_full(kind: str) -> Iterator[None]:
    """Compute without derivatives, and without autocast, which would round what we move."""
    torch = require("torch", extra="torch")
    rounds = torch.amp.is_autocast_available(kind)
    with torch.no_grad(), torch.autocast(kind, enabled=False) if rounds else nullcontext():
        yield
