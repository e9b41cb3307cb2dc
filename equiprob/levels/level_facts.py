"""What single numbers and words travel with a symmetry level?"""

from __future__ import annotations

from dataclasses import dataclass

from equiprob.posterior.facts import RowFacts


@dataclass(frozen=True, kw_only=True)
class LevelFacts(RowFacts):
    """What travels with a symmetry level.

    Args:
        transform: The transform.
        output: The name of the output.
        path: The name of the path.
        path_label: In words.
        loss: The loss, in words.
        shipped_position: The position that is recommended.
        recommended: Whether averaging is.
        rope: Saving that makes no practical difference.
        unchanged_index: Of the position that leaves the model as it is.
        p_full: Probability that full symmetry is best; None where no position is full.
        p_none: That none is.
        p_between: That something between is.
        n_transforms: Transformations of each row.
        monte_carlo_share: Share of the variance that more transformations would take away; None if
            not known.
        risk: Of the model as it is.
        risk_saved_cross_fitted: By positions chosen on other rows.
        optimism: What choosing the position on the same rows adds to its saving.
        excess_of: What few transformations lose: of the squared error, or of the loss as evaluated.
        n_elements: Of a finite law; None for others.
        lattices_at_most: Whether losses of lattices are upper bounds.
    """

    transform: str
    output: str
    path: str
    path_label: str
    loss: str
    shipped_position: float
    recommended: bool
    rope: float
    unchanged_index: int
    p_full: float | None
    p_none: float | None
    p_between: float | None
    n_transforms: int
    monte_carlo_share: float | None
    risk: float
    risk_saved_cross_fitted: float
    optimism: float
    excess_of: str
    n_elements: int | None
    lattices_at_most: bool
