"""How are pictures read between their pixels by PyTorch, which has a kernel for it?"""

from __future__ import annotations

import sys
from typing import Any


def has_kernel(leaf: Any) -> bool:
    """Whether PyTorch's kernel samples a tensor of this dtype in full precision on every device."""
    torch = sys.modules["torch"]
    return leaf.dtype in (torch.float32, torch.float64)


def grid_sampled(row: Any, column: Any, leaf: Any, *, fill: float, wrap: bool) -> Any:
    """Read pictures at places between their pixels, as `kernels.resample` does.

    The kernel counts places from -1 to 1. That is exact where a side is a power of two, so pictures
    are padded to one: whole pixels then stay what they are, to the last bit.

    Args:
        row: The row that each pixel reads, ``(*batch, pixel)``.
        column: The column.
        leaf: Tensors ``(*batch, height, width, channel)``.
        fill: What is read outside the picture.
        wrap: Whether it continues on the opposite side instead.
    """
    torch = sys.modules["torch"]
    height, width, channels = leaf.shape[-3:]
    if wrap:  # one more row and column, which are the first again
        row, column = row.remainder(height), column.remainder(width)
        leaf = torch.cat([leaf, leaf[..., :1, :, :]], dim=-3)
        leaf = torch.cat([leaf, leaf[..., :, :1, :]], dim=-2)
    elif fill:  # one more channel says how much of a pixel lies within
        leaf = torch.cat([leaf, torch.ones_like(leaf[..., :1])], dim=-1)
    down, across = (_power_of_two(size) for size in leaf.shape[-3:-1])
    pictures = torch.nn.functional.pad(
        leaf.movedim(-1, -3), (0, across - leaf.shape[-2], 0, down - leaf.shape[-3])
    )
    places = torch.stack([(2 * column + 1) / across - 1, (2 * row + 1) / down - 1], dim=-1)
    batch = torch.broadcast_shapes(places.shape[:-2], pictures.shape[:-3])
    pixels = torch.nn.functional.grid_sample(
        pictures.expand(*batch, *pictures.shape[-3:]).reshape(-1, *pictures.shape[-3:]),
        places.expand(*batch, *places.shape[-2:]).reshape(-1, height, width, 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,  # with it, places on an axis of one pixel are lost
    )
    if fill and not wrap:
        pixels, within = pixels[:, :channels], pixels[:, channels:]
        pixels = pixels + fill * (1 - within)
    return pixels.reshape(*batch, channels, height, width).movedim(-3, -1)


def _power_of_two(size: int) -> int:
    """Return the least power of two that is no smaller."""
    return 1 << (size - 1).bit_length()
