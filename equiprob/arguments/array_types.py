"""Arrays by what they hold, in annotations."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Numbers."""

Index = NDArray[np.int64]
"""Positions, counts and labels."""
