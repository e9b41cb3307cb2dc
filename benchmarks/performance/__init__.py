"""What a pass costs, what it is worth, and what the same takes elsewhere: one run, one page."""

import os

# One thread everywhere, before anything makes its own: ratios of processor time need it.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
