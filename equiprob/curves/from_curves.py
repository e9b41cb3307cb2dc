"""Priors as real learning curves have them; written by ``python -m benchmarks.curves.priors``."""

FROM_CURVES = {
    "exponent": (-0.3, 1.6),
    "exponent_spread": 0.219,
    "bends": (0.1878, 0.5007, 0.3115),
    "noise": 1.6,
    "noise_free": 0.719,
    "floors_noise_free": (0.7393, 0.1268, 0.0329, 0.0527, 0.0316, 0.0167),
    "floors_noisy": (0.15, 0.28, 0.27, 0.15, 0.075, 0.075),
    "plateau": 0.369,
    "turns": (0.8815, 0.0662, 0.0389, 0.0134),
    "rise": 0.281,
    "shared_bends": 0.44,
}
