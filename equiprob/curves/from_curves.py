"""Priors as real learning curves have them; written by ``python -m benchmarks.curves.priors``."""

FROM_CURVES = {
    "exponent": (-0.13, 1.2),
    "exponent_spread": 0.25,
    "bends": (0.3609, 0.3383, 0.3008),
    "noise": 1.2,
    "noise_free": 0.719,
    "floors_noise_free": (0.7393, 0.1268, 0.0329, 0.0527, 0.0316, 0.0167),
    "floors_noisy": (0.15, 0.28, 0.27, 0.15, 0.075, 0.075),
    "plateau": 0.369,
    "turns": (0.79, 0.16, 0.037, 0.013),
    "fades": (0.3695, 0.231, 0.2494, 0.1039, 0.0462),
    "rise": 0.15,
    "shared_bends": (0.5, 0.35, 0.15),
}
