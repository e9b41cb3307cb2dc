"""Gradient descent for the small networks of the demo and of the problems with known truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def adam(
    gradient: Callable[[Any, jax.Array], Any], start: Any, n_steps: int, learning_rate: float
) -> Any:
    """Return parameters after `n_steps` of Adam with a cosine schedule (traceable).

    Args:
        gradient: ``gradient(parameters, step) -> gradient``.
        start: The parameters to start from.
        n_steps: Steps.
        learning_rate: The largest rate, that of the first step.
    """

    def step(state: Any, t: jax.Array) -> tuple[Any, None]:
        parameters, first, second = state
        slope = gradient(parameters, t)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, slope)
        rate = learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * t / n_steps))
        rate = rate * jnp.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), parameters, first, second
        )
        return (parameters, first, second), None

    zeros = jax.tree.map(jnp.zeros_like, start)
    return jax.lax.scan(step, (start, zeros, zeros), jnp.arange(n_steps))[0][0]
