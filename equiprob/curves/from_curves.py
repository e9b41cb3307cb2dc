"""Priors as real learning curves have them; written by ``python -m benchmarks.curves.priors``."""

FROM_CURVES = {
    "exponent": (-0.3, 1.0),
    "exponent_spread": 0.35,
    "bends": (0.27, 0.45, 0.28),
    "noise": 1.0,
    "noise_free": 0.5,
    "floors_noise_free": (0.7, 0.12, 0.08, 0.05, 0.03, 0.02),
    "floors_noisy": (0.15, 0.28, 0.27, 0.15, 0.075, 0.075),
    "plateau": 0.6,
    "turns": (0.78, 0.15, 0.055, 0.015),
    "rise": 0.5,
    "shared_bends": 0.44,
}
