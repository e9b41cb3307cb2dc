"""The model a level recommends, as a module of PyTorch that averages where it is."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from equiprob.arguments.tensors import is_torch, on_host
from equiprob.levels.predictor import AveragedPredictor
from equiprob.orbits.backend import MOST_AT_ONCE, n_rows
from equiprob.orbits.torch_device import TorchDevice
from equiprob.orbits.torch_memory import TorchModel
from equiprob.orbits.torch_trial import moved_alike
from equiprob.transforms.acting import Moves

_MOST_ROWS = 4096
"""Rows in one call of the model, transformed copies included."""


class _AveragedModule(torch.nn.Module):  # pyright: ignore[reportUntypedBaseClass]
    """A module averaged over fixed transformations: see `AveragedPredictor`.

    The first call looks at how rows and outputs move, and keeps that as buffers, which follow the
    module to another device.
    """

    def __init__(self, averaged: AveragedPredictor, model: TorchModel) -> None:
        """Take the average, and the model that it is of."""
        super().__init__()
        self.averaged, self.model = averaged, model
        self.module = model.module
        self.n_evaluations = averaged.n_evaluations
        self._kind: Any = None
        self._moves: Any = None
        self.eval()

    def forward(self, x: Any) -> Any:
        """Return predictions for a batch, rows first: tensors for tensors, arrays for arrays."""
        if all(is_torch(leaf) for leaf in jax.tree.leaves(x)):
            return self._average(x)
        if not self._prepared(x):
            return self.averaged(x)
        rows = jax.tree.map(lambda leaf: self._device.put_rows(np.asarray(leaf)), x)
        with torch.no_grad():
            return jax.tree.map(on_host, self._average(rows))

    @property
    def _device(self) -> TorchDevice:
        """Where the module is now."""
        first = next((p for p in self.module.parameters()), None)
        return TorchDevice(self.model.place if first is None else first.device)

    def _outputs(self, x: Any) -> Any:
        with torch.enable_grad() if self.model.gradients else nullcontext():
            return self.model.differentiable(x)

    def _average(self, x: Any) -> Any:
        if not self._prepared(x):
            raise ValueError(
                "the host must move these rows or their outputs, by a function that PyTorch cannot "
                "run: pass NumPy arrays"
            )
        keep, weights = self.averaged.keep, (1 - self.averaged.keep) * self.averaged.weights
        total = None
        if keep != 0:
            total = jax.tree.map(lambda leaf: leaf * keep, self._outputs(x))
        if not len(weights):
            return total
        moves, size = self._held(), MOST_AT_ONCE
        if not torch.compiler.is_compiling():  # an exported program is for any number of rows
            size = max(1, min(size, _MOST_ROWS // max(n_rows(x), 1)))
        for start in range(0, len(weights), size):
            block = slice(start, start + size)
            shares = weights[block].tolist()
            returned = self._returned(moves.block(block), x, len(shares))
            for j, share in enumerate(shares):
                part = jax.tree.map(lambda leaf, j=j, s=share: leaf[j] * s, returned)
                total = part if total is None else jax.tree.map(torch.add, total, part)
        return total

    def _returned(self, moves: Moves, x: Any, n: int) -> Any:
        """Return outputs ``(transformation, row, ...)`` of one call for `n` transformations."""
        each = [jax.tree.leaves(moved) for moved in moves.each(x, n)]
        treedef = jax.tree.structure(x)
        rows = treedef.unflatten([torch.cat(leaves) for leaves in zip(*each, strict=True)])
        outputs = self._outputs(rows)
        apart = jax.tree.map(lambda leaf: leaf.reshape(n, -1, *leaf.shape[1:]), outputs)
        return moves.each_back(apart, x)

    def _held(self) -> Moves:
        return jax.tree.map(lambda place: getattr(self, f"_move_{place}"), self._moves)

    def _prepared(self, x: Any) -> bool:
        """Look once at how rows of this kind move; return whether all of them move here."""
        if not len(self.averaged.weights):
            return True
        leaves = jax.tree.leaves(x)
        names = [str(leaf.dtype).removeprefix("torch.") for leaf in leaves]
        kind = [(name, tuple(leaf.shape[1:])) for name, leaf in zip(names, leaves, strict=True)]
        if self._kind is not None and self._kind[0] == kind:
            return self._kind[1]
        if torch.compiler.is_compiling():
            raise ValueError(
                "an average looks at how rows move before it is exported: call it once, with "
                "tensors of the same kind"
            )
        few = jax.tree.map(lambda leaf: np.asarray(on_host(leaf[:2])), x)
        averaged = self.averaged
        device = TorchDevice(leaves[0].device) if is_torch(leaves[0]) else self._device
        with torch.no_grad():
            output = jax.tree.map(on_host, self._outputs(jax.tree.map(device.put_rows, few)))
        acting = averaged.transform.on(few, output)
        moves = acting.at(averaged.parameters, by="transformation")
        alike = not acting.changes_shape and all(
            all(side)
            for side in moved_alike(moves.block(slice(2)), few, output, acting.users, device)
        )
        arrays, treedef = jax.tree.flatten(moves)
        self._moves = treedef.unflatten(range(len(arrays)))  # which buffer holds which
        for i, array in enumerate(arrays):
            self.register_buffer(f"_move_{i}", device.put_rows(array), persistent=False)
        self._kind = kind, alike
        return alike


def averaged_module(averaged: AveragedPredictor, model: TorchModel) -> Any:
    """Return an average of a model as a ``torch.nn.Module``."""
    return _AveragedModule(averaged, model)
