"""Random pipelines of augmentation libraries, each draw known by a seed."""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final, override

import jax
import numpy as np
from numpy.typing import NDArray

from equiprob.arguments.checked import checked
from equiprob.transforms.expression import Call
from equiprob.transforms.law import AbstractLaw, Parameters
from equiprob.transforms.transform import Transform
from equiprob.transforms.user_actions import Action

Pipeline = Callable[[Any, int], Any]
"""A function of a row and a seed."""

_SEEDS = 2**24
"""Seeds are floats on their way to an action: float32 holds so many."""


@final
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class FromAugmentation(AbstractLaw):
    """A random pipeline; made by `from_augmentation`.

    The parameter is the seed of a draw; 0 is the identity, by definition.
    """

    pipeline: Any
    name: str
    size: Callable[[int], float] | None = None

    magnitude_label = "augmented"

    def __str__(self) -> str:
        """Name the transform for people."""
        return self.name

    @override
    def call(self) -> Call:
        return Call("from_augmentation", (self.pipeline,))

    @property
    @override
    def n_uniforms(self) -> int:
        return 0

    @override
    def parameters(self, uniforms: NDArray[np.float64]) -> Parameters:
        raise ValueError(f"{self} can only be sampled: seeds have no quantile function")

    @override
    def sample_many(self, generator: np.random.Generator, n: int) -> Parameters:
        return generator.integers(1, _SEEDS, size=(n, 1)).astype(np.float64)

    @property
    @override
    def identity(self) -> Parameters:
        return np.zeros(1)

    @override
    def element(self, parameters: Parameters) -> dict[str, NDArray[Any]]:
        return {"parameter": parameters}

    @override
    def magnitude(self, parameters: Parameters) -> NDArray[np.float64]:
        if self.size is None:  # seeds are no sizes
            return (parameters[..., 0] != 0).astype(np.float64)
        seeds = parameters[..., 0].ravel().astype(int)
        sizes = [_size(self.size, seed) if seed else 0.0 for seed in seeds.tolist()]
        return np.array(sizes, dtype=np.float64).reshape(parameters.shape[:-1])


@checked
def from_augmentation(
    augment: Callable[..., Any],
    *,
    acts_on: Any = None,
    reference: Callable[[Any], Any] | None = None,
    magnitude: Callable[[int], float] | None = None,
    output_action: Any = "invariant",
    name: str | None = None,
) -> Transform:
    """Build a transform from a random pipeline, as training uses it.

    Args:
        augment: A pipeline of torchvision, albumentations or kornia, or any function of one row
            (an array, or a dict of arrays), or of a row and a NumPy generator. What it draws from
            the global generators of Python, NumPy and PyTorch is fixed by the seed of the draw,
            and these are left as they were.
        acts_on: For pipelines of libraries and a dict of leaves, what each holds: ``"image"``,
            ``"image_channels_first"``, ``"mask"`` or ``"invariant"``. All leaves of a row move
            together. When left out, a row is an image, or the whole row is given to `augment`.
        reference: What rows go through without augmentation, such as the pipeline of evaluation.
            The model then never sees rows as they are, which may have another shape (a random crop
            beside one of the centre).
        magnitude: How large the draw of a seed is. Called with the global generators as they are
            for that draw: what a pipeline draws first, a call that draws it first says. When left
            out, there are no profiles.
        output_action: How the output transforms: ``"invariant"``, or ``Action(function, inverse)``.
        name: What messages and plots call it.

    Returns:
        The transform. Its transformations are drawn at random, each row by seeds of its own, and
        have no inverse.

    Examples:
        >>> import numpy as np
        >>> import equiprob as ep
        >>> def jitter(row, generator):
        ...     return row * generator.uniform(0.9, 1.1)
        >>> x = np.random.default_rng(0).random((20, 8))
        >>> print(ep.check_action(ep.transforms.from_augmentation(jitter), x))
        jitter, 8 draws on 20 rows: ok
          x (action, float64): no inverse
    """
    pipeline = _pipeline(augment, acts_on)

    def act(parameter: Any, row: Any) -> Any:
        seed = int(parameter[0])  # raises where JAX traces: a pipeline needs concrete arrays
        row = jax.tree.map(np.array, row)
        if seed == 0:
            return row if reference is None else _as_rows(reference(row), row)
        return _as_rows(pipeline(row, seed), row)

    law = FromAugmentation(
        pipeline=augment,
        name=name or getattr(augment, "__name__", type(augment).__name__),
        size=magnitude,
    )
    action = Action(act, makes_rows=reference is not None)
    return Transform(law=law, acts_on=action, output_action=output_action)


def _size(magnitude: Callable[[int], float], seed: int) -> float:
    """Return how large a draw is.

    Raises:
        ValueError: If that is no number of at least 0.
    """
    with _seeded(seed):
        found = float(magnitude(seed))
    if not (np.isfinite(found) and found >= 0):
        raise ValueError(f"magnitude must return a number of at least 0, got {found} for {seed}")
    return found


def _as_rows(moved: Any, row: Any) -> Any:
    """Return what a pipeline made in the kinds of arrays it was given."""

    def leaf(old: NDArray[Any], new: Any) -> NDArray[Any]:
        array = np.asarray(new.detach().cpu() if hasattr(new, "detach") else new)
        return array.astype(old.dtype, copy=False)

    return jax.tree.map(leaf, row, moved)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Fix what the global generators draw, and leave them as they were."""
    torch = sys.modules.get("torch")
    kept = random.getstate(), np.random.get_state()  # noqa: NPY002
    fork = torch.random.fork_rng(devices=[]) if torch is not None else None
    if fork is not None and torch is not None:
        fork.__enter__()
        torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - pipelines draw from it
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        if fork is not None:
            fork.__exit__(None, None, None)


def _pipeline(augment: Any, acts_on: Any) -> Pipeline:
    """Return a pipeline as a function of a row and a seed."""
    library = type(augment).__module__.split(".")[0]
    if hasattr(augment, "set_random_seed"):
        return _albumentations(augment, acts_on)
    if library in ("torchvision", "kornia"):
        return _tensors(augment, acts_on, library)
    takes_generator = len(_positional(augment)) > 1

    def call(row: Any, seed: int) -> Any:
        with _seeded(seed):
            if takes_generator:
                return augment(row, np.random.default_rng(seed))
            return augment(row)

    return call


def _positional(function: Any) -> list[Any]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p for p in found if p.kind in kinds and p.default is inspect.Parameter.empty]


def _words(row: Any, acts_on: Any) -> dict[str, str]:
    """Return what each leaf that a library moves holds.

    Raises:
        ValueError: If the leaves of a dict are not declared by words.
    """
    if not isinstance(row, Mapping):
        return {"": acts_on if isinstance(acts_on, str) else "image"}
    if not isinstance(acts_on, Mapping) or set(acts_on) != set(row):
        raise ValueError(
            f"acts_on must say what each leaf holds for a pipeline of a library: pass a dict with "
            f"the keys {sorted(row)} and 'image', 'image_channels_first', 'mask' or 'invariant'"
        )
    return {name: str(word) for name, word in acts_on.items() if word != "invariant"}


def _albumentations(augment: Any, acts_on: Any) -> Pipeline:
    """Leaves go in by their targets, images with their channels last."""

    def call(row: Any, seed: int) -> Any:
        words = _words(row, acts_on)
        first = [name for name, word in words.items() if word.endswith("channels_first")]
        leaves = row if isinstance(row, Mapping) else {"": row}
        targets = {
            ("mask" if word.startswith("mask") else "image"): np.moveaxis(leaves[name], 0, -1)
            if name in first
            else leaves[name]
            for name, word in words.items()
        }
        augment.set_random_seed(seed)
        moved = augment(**targets)
        found = {}
        for name, word in words.items():
            values = moved["mask" if word.startswith("mask") else "image"]
            found[name] = np.moveaxis(values, -1, 0) if name in first else values
        return {**row, **found} if isinstance(row, Mapping) else found[""]

    return call


def _tensors(augment: Any, acts_on: Any, library: str) -> Pipeline:
    """Leaves go in as tensors with their channels first, typed for torchvision."""

    def call(row: Any, seed: int) -> Any:
        import torch  # pyright: ignore[reportMissingImports]

        words = _words(row, acts_on)
        leaves = row if isinstance(row, Mapping) else {"": row}
        last = [n for n, w in words.items() if w in ("image", "mask") and leaves[n].ndim == 3]
        typed = {}
        for name, word in words.items():
            values = np.moveaxis(leaves[name], -1, 0) if name in last else leaves[name]
            is_mask = word.startswith("mask")
            flat = values.ndim == 2 and (library == "kornia" or not is_mask)
            tensor = torch.as_tensor(np.ascontiguousarray(values[None] if flat else values))
            if library == "kornia":
                typed[name] = (tensor.float() if is_mask else tensor)[None]
            else:
                typed[name] = _typed(tensor, word)
        with _seeded(seed):
            if not isinstance(row, Mapping):
                moved = {"": augment(typed[""])}
            elif library == "kornia":
                moved = _by_keys(augment, typed, words)
            else:
                moved = augment(typed)
        found = {}
        for name in words:
            values = np.asarray(moved[name].detach().cpu())
            values = values if library == "torchvision" else values[0]
            values = np.moveaxis(values, 0, -1) if name in last else values
            found[name] = (
                values.reshape(leaves[name].shape) if values.size == leaves[name].size else values
            )
        return {**row, **found} if isinstance(row, Mapping) else found[""]

    return call


def _by_keys(augment: Any, typed: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """Call a container of kornia with leaves one after the other, and what they are.

    Raises:
        ValueError: If it is none, which would move each leaf by a draw of its own.
    """
    if not hasattr(augment, "data_keys"):
        raise ValueError(
            f"{type(augment).__name__} moves one leaf: pass "
            f"kornia.augmentation.AugmentationSequential({type(augment).__name__}(...))"
        )
    keys = ["mask" if words[name].startswith("mask") else "input" for name in typed]
    moved = augment(*typed.values(), data_keys=keys)
    return dict(zip(typed, moved if len(typed) > 1 else [moved], strict=True))


def _typed(tensor: Any, word: str) -> Any:
    from torchvision import tv_tensors  # pyright: ignore[reportMissingImports]

    return tv_tensors.Mask(tensor) if word.startswith("mask") else tv_tensors.Image(tensor)
