"""The pass that stays on the device of a PyTorch model: on the CPU, and on a GPU that is none."""

import warnings

import numpy as np
import pytest
from leaf_words import T
from transform_variants import VARIANTS

import equiprob as ep

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)
CLOUDS = rng.normal(size=(11, 4, 3)).astype(np.float32)
IMAGES = rng.random((7, 2, 9, 12)).astype(np.float32)
TURN = T.rotations3d(acts_on="points")
CHUNKS = {"n_transforms": 6, "batch_size": 5, "progress": False}


class Elementwise(torch.nn.Module):
    """An output shaped like the input, with no symmetry."""

    def __init__(self, shape):
        super().__init__()
        weight = np.random.default_rng(1).random(shape).astype(np.float32)
        self.weight = torch.nn.Parameter(torch.tensor(weight))

    def forward(self, x):
        return torch.tanh(x * self.weight + 0.3 * x.flip(-1))


def model(x, module=None, **options):
    module = Elementwise(x.shape[1:]) if module is None else module
    return ep.adapters.from_torch(module.eval(), **options)


def tables(predict, x, transform, **options):
    """Return the table of a pass on the device, and that of the loop in Python."""
    return [
        ep.evaluate_orbits(predict, x, transform, backend=backend, **(CHUNKS | options))
        for backend in ("torch", "python")
    ]


ROUNDINGS = 32.0
"""By which entries may differ, relative to the outputs' size: PyTorch and XLA round otherwise.

Seen: 0 to 4, on pictures up to 20. It is arithmetic of seeded numbers, and no draw."""


def apart(one, other, name="output"):
    """Return the largest difference of two tables, in roundings of the outputs' size."""
    a, b = one[name].only, other[name].only
    size = np.sqrt(np.nanmean((b.base**2).sum(axis=1)))
    unit, found = float(np.finfo(np.float32).eps), []
    for key, expected in vars(b).items():
        values = getattr(a, key)
        if not isinstance(expected, np.ndarray):
            if key not in ("float_floor", "apart"):
                assert values == expected, key
            continue
        assert values.shape == expected.shape, key
        np.testing.assert_array_equal(np.isfinite(values), np.isfinite(expected), err_msg=key)
        power = 2 if key.endswith(("_sq", "_sq_each", "_noise")) else 1
        scale = size * np.nanmax(np.abs(1.0 if b.raw is None else b.raw)) if power == 2 else size
        scale = 1.0 if key in ("bin_weight", "part_weight", "n_nonfinite", "y", "weight") else scale
        found.append(np.abs(np.nan_to_num(values - expected)).max(initial=0.0) / scale / unit)
    return max(found)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_table_is_that_of_the_loop_in_python(name):
    variant = VARIANTS[name]
    x = np.concatenate([variant.x, 1.1 * variant.x + 0.05]).astype(np.float32)
    if name == "rotations3d":  # its outputs are tensors
        x = x[:, :3]
    on_device, in_python = tables(model(x), x, variant.transform, keep="all")
    assert apart(on_device, in_python) < ROUNDINGS
    assert on_device.only.float_floor == in_python.only.float_floor
    by_host = variant.transform.on(x).users[0][0]
    assert on_device.backend == ("torch (x moved by the host)" if by_host else "torch")


def test_the_comparison_of_tables_has_power():
    """Rows moved in the 13 bits of a GPU's matrix units would be seen."""
    one = ep.evaluate_orbits(model(CLOUDS), CLOUDS, TURN, keep="all", **CHUNKS)
    other = ep.evaluate_orbits(
        model(CLOUDS), CLOUDS * (1 + 2**-13), TURN, keep="all", row_ids=np.arange(11), **CHUNKS
    )
    same = ep.evaluate_orbits(
        model(CLOUDS), CLOUDS, TURN, keep="all", row_ids=np.arange(11), **CHUNKS
    )
    assert apart(other, same) > 10 * ROUNDINGS
    assert apart(one, one) == 0


@pytest.mark.parametrize("declared", ["image_channels_first", "image_channels_first/2", "image"])
def test_pictures_are_read_between_their_pixels_as_in_jax(declared):
    x = IMAGES if "first" in declared else np.moveaxis(IMAGES, 1, -1).copy()
    law = {"output_action": declared, "acts_on": declared}
    for transform in (
        T.rotations2d(0.4, **law),
        T.rotations2d(0.4, fill=0.3, **law),
        T.translations(2.5, fill=0.3, **law),
        T.translations(2.5, wrap=True, **law),
    ):
        assert apart(*tables(model(x), x, transform, keep="all")) < ROUNDINGS


@pytest.mark.parametrize("law", [T.cyclic, T.rotations2d, T.translations])
def test_fibres_and_masks_on_the_device(law):
    words = {"image": "image of vectors" if law is not T.translations else "image"}
    transform = law(4 if law is T.cyclic else 1.5, acts_on=words | {"classes": "mask"})
    x = {
        "image": rng.random((7, 8, 8, 2)).astype(np.float32),
        "classes": rng.integers(0, 4, (7, 8, 8)).astype(np.int32),
    }

    class Both(torch.nn.Module):
        def forward(self, batch):
            return torch.tanh(batch["image"]).sum(-1) * (1 + batch["classes"])

    assert apart(*tables(model(x, Both()), x, transform, keep="all")) < ROUNDINGS


def test_whole_pixels_stay_what_they_are_to_the_last_bit():
    for size in (1, 5, 8, 12):
        x = rng.random((4, size, size, 3)).astype(np.float32)
        for fill in (0.0, 0.3):
            transform = T.dihedral(4, acts_on="image", output_action="image", fill=fill)
            predict = model(x, torch.nn.Tanh())
            table = ep.evaluate_orbits(predict, x, transform, backend="torch")
            np.testing.assert_array_equal(table.only.pair_sq, 0.0)


def test_masks_scales_ranges_targets_and_crossed_designs():
    mask = rng.random((11, 4)) < 0.7
    mask[:, 0] = True
    x = CLOUDS.copy()
    x[~mask] = 0.0

    class Items(torch.nn.Module):
        def forward(self, x):
            return torch.where(x[..., :1] == 0, torch.nan, torch.tanh(x + x.flip(-1)))

    turn = T.rotations3d(acts_on="points", output_action="vectors")
    counts = rng.integers(1, 5, 11)
    for outputs in (ep.Output(mask=mask, per="item"), ep.Output(scale=3.0, per=counts)):
        for keep in ("all", [0.5, 1.5, 4.0], "rows"):
            pair = tables(model(x, Items()), x, turn, outputs=outputs, keep=keep)
            assert apart(*pair) < ROUNDINGS
    y = CLOUDS + 0.1
    for design in ("crossed", "random"):
        assert apart(*tables(model(x), x, turn, y=y, design=design, keep="all")) < ROUNDINGS


def test_noise_is_taken_off_where_the_outputs_are():
    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.draws = torch.Generator().manual_seed(0)

        def forward(self, x):
            return x[..., 0] + 0.1 * torch.randn(x.shape[:-1], generator=self.draws)

    pair = [
        ep.evaluate_orbits(
            model(CLOUDS, Noisy()), CLOUDS, TURN, noise_repeats=3, backend=backend, **CHUNKS
        )
        for backend in ("torch", "python")  # the same calls in the same order
    ]
    assert pair[0].only.noise_sq.min() > 0
    assert apart(*pair) < ROUNDINGS


class Springs(torch.nn.Module):
    """Energy and forces by automatic differentiation; the input holds integers, too."""

    def forward(self, batch):
        at = batch["at"].requires_grad_()
        kind = batch["kind"]
        assert kind.dtype == torch.int32
        distance = torch.cdist(at, at) + 0.1 * (kind[:, :, None] + kind[:, None, :])
        energy = torch.exp(-distance).sum(dim=(1, 2)) + at[..., 0].sum(1) ** 2
        (slope,) = torch.autograd.grad(energy.sum(), at)
        return {"forces": -slope, "energy": energy}


def test_dicts_integers_and_modules_that_differentiate():
    x = {"kind": rng.integers(0, 3, (11, 4)).astype(np.int32), "at": CLOUDS}
    transform = T.product(
        T.rotations3d(),
        T.permutations(4),
        commute=True,
        acts_on={"at": "items points", "kind": "items"},
        output_action={"energy": "invariant", "forces": "items vectors"},
    )
    predict = model(x, Springs(), gradients=True)
    pair = tables(predict, x, transform, keep="all")
    assert pair[0].backend == "torch"
    for name in ("energy", "forces"):
        assert apart(*pair, name) < ROUNDINGS


def test_actions_that_read_other_leaves():
    cell = np.eye(3, dtype=np.float32) + 0.1 * rng.random((11, 3, 3)).astype(np.float32)
    x = {"positions": CLOUDS, "cell": cell}
    transform = T.lattice_shifts(items=4, acts_on={"positions": "wrapped", "cell": "invariant"})

    class Sum(torch.nn.Module):
        def forward(self, batch):
            return torch.tanh(batch["positions"]).sum((1, 2)) + batch["cell"].sum((1, 2))

    on_device, in_python = tables(model(x, Sum()), x, transform, keep="all")
    assert on_device.backend == "torch"
    assert apart(on_device, in_python) < ROUNDINGS


# ---- functions of users -------------------------------------------------------------------------


def scaled(function):
    return T.from_functions(
        lambda generator: np.exp(0.3 * generator.normal()),
        function,
        identity=1.0,
        inverse=lambda p: 1 / p,
    )


@pytest.mark.parametrize(
    ("function", "where"),
    [
        (lambda p, row: row * p[0], "torch"),
        (lambda p, row: row * float(p[0]), "torch (x moved by the host)"),
        # Another number in PyTorch, which divides by one less.
        (lambda p, row: row + (p[0] - 1) * row.std(), "torch (x moved by the host)"),
        (lambda p, row: row[::-1] * p[0], "torch (x moved by the host)"),
    ],
)
def test_functions_of_users_run_on_the_device_where_they_mean_the_same(function, where):
    on_device, in_python = tables(model(CLOUDS), CLOUDS, scaled(function), keep="all")
    assert on_device.backend == where
    assert apart(on_device, in_python) < ROUNDINGS


def test_functions_may_be_written_for_pytorch_and_in_place():
    def flipped(p, row):
        row *= p[0]
        return torch.flip(row, (0,)) if isinstance(row, torch.Tensor) else np.flip(row, 0)

    before = CLOUDS.copy()
    on_device, in_python = tables(model(CLOUDS), CLOUDS, scaled(flipped), keep="all")
    assert on_device.backend == "torch (x moved by the host)"  # vmap does not write in place
    assert apart(on_device, in_python) < ROUNDINGS
    np.testing.assert_array_equal(CLOUDS, before)


def test_outputs_that_the_host_takes_back_are_named():
    transform = T.from_functions(
        lambda generator: np.exp(0.3 * generator.normal()),
        {"at": T.Action(lambda p, row: row * p[0])},
        identity=1.0,
        output_action={
            "a": T.Action(lambda p, y: y * float(p[0]), lambda p, y: y / float(p[0])),
            "b": "invariant",
        },
    )

    class Two(torch.nn.Module):
        def forward(self, batch):
            return {"b": batch["at"].sum((1, 2)), "a": torch.tanh(batch["at"])}

    x = {"at": CLOUDS}
    pair = tables(model(x, Two()), x, transform, keep="all")
    assert pair[0].backend == "torch (a taken back by the host)"
    for name in ("a", "b"):
        assert apart(*pair, name) < ROUNDINGS


# ---- modules that would make it false without a word --------------------------------------------


class InPlace(torch.nn.Module):
    def forward(self, x):
        x *= 2
        return x.flip(-1)[:, 0]


class Reused(torch.nn.Module):
    """All outputs in one buffer, as CUDA graphs have them."""

    def __init__(self):
        super().__init__()
        self.buffer = torch.empty(5, 3)

    def forward(self, x):
        out = self.buffer[: len(x)]
        out.copy_(torch.tanh(x[:, 0]))
        return out


class ViewOfInput(torch.nn.Module):
    def forward(self, x):
        return x[:, 1]


class NeedsContiguous(torch.nn.Module):
    def forward(self, x):
        return torch.tanh(x.view(len(x), -1))


class ChangesDtype(torch.nn.Module):
    def forward(self, x):
        return torch.tanh(x).sum(1).bfloat16()


class Channels(torch.nn.Module):
    """Works on images whose channels lie last in memory."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)

    def forward(self, x):
        return self.layer(x.contiguous(memory_format=torch.channels_last)).mean((2, 3))


@pytest.mark.parametrize("module", [InPlace, Reused, ViewOfInput, NeedsContiguous, ChangesDtype])
def test_modules_that_write_share_or_cast(module):
    on_device, in_python = tables(model(CLOUDS, module()), CLOUDS, TURN, keep="all")
    assert on_device.backend == "torch"
    assert apart(on_device, in_python) < ROUNDINGS
    assert on_device.only.rounding == in_python.only.rounding


def test_images_in_another_layout():
    turn = T.rotations2d(acts_on="image_channels_first")
    assert apart(*tables(model(IMAGES, Channels()), IMAGES, turn, keep="all")) < ROUNDINGS


def test_threads_take_turns_with_a_module_that_reuses_its_buffer():
    from concurrent.futures import ThreadPoolExecutor

    x = np.resize(CLOUDS, (60, 4, 3)) * np.linspace(1, 2, 60, dtype=np.float32)[:, None, None]
    predict = model(x, Reused())
    with ThreadPoolExecutor(4) as pool:
        many = ep.evaluate_orbits(predict, x, TURN, backend="torch", executor=pool, **CHUNKS)
    alone = ep.evaluate_orbits(predict, x, TURN, backend="torch", **CHUNKS)
    np.testing.assert_array_equal(many.only.displacement, alone.only.displacement)


class Pair(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        return self.kind([x[:, 0], x[:, 1]])


@pytest.mark.parametrize("kind", [list, tuple, lambda pair: {"a": pair}, lambda _: None])
@pytest.mark.parametrize("backend", ["torch", "python"])
def test_what_is_no_tensor_is_refused_by_name(kind, backend):
    for x in (CLOUDS, CLOUDS[:2]):  # two outputs of two rows would pass for one
        with pytest.raises(TypeError, match=r"the module returned .*, where a tensor is needed"):
            ep.evaluate_orbits(model(x, Pair(kind)), x, TURN, backend=backend)


def test_only_modules_and_rows_that_keep_their_shape_stay_on_the_device():
    with pytest.raises(ValueError, match=r"no PyTorch module: pass what ep\.adapters\.from_torch"):
        ep.evaluate_orbits(lambda x: x, CLOUDS, TURN, backend="torch")
    resized = T.cyclic(2, acts_on=T.Action(lambda p, rows: rows, changes_shape=True))
    with pytest.raises(ValueError, match="changes the shape of rows"):
        ep.evaluate_orbits(model(IMAGES, Channels()), IMAGES, resized, backend="torch")


def test_modules_that_change_are_refused():
    class Switches(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.calls, self.dropout = 0, torch.nn.Dropout(0.5)

        def forward(self, x):
            self.calls += 1
            if self.calls > 4:
                self.dropout.train()
            return self.dropout(x[:, 0])

    with pytest.raises(ValueError, match="dropout is in training mode"):
        ep.evaluate_orbits(model(CLOUDS, Switches()), CLOUDS, TURN, backend="torch", **CHUNKS)

    class Batch(torch.nn.Module):
        def forward(self, x):
            return x[:, 0] - x.mean((0, 1))

    with pytest.raises(ValueError, match="predict depends on the batch"):
        ep.evaluate_orbits(model(CLOUDS, Batch()), CLOUDS, TURN, backend="torch", **CHUNKS)
    pair = tables(model(CLOUDS, Batch()), CLOUDS, TURN, batch_dependent=True, keep="all")
    assert apart(*pair) < ROUNDINGS


def test_rows_on_which_a_module_fails_are_told_from_the_others():
    class Fails(torch.nn.Module):
        def forward(self, x):
            if (x.abs() > 9).any():
                raise RuntimeError("too far")
            return x[:, 0]

    x = np.concatenate([CLOUDS, CLOUDS + 0.1])
    x[17] = 10
    predict = model(x, Fails())
    pair = tables(predict, x, TURN, on_error="skip", keep="all")
    assert [str(s) for s in pair[0].skipped] == [str(s) for s in pair[1].skipped]
    assert apart(*pair) < ROUNDINGS


def test_nonfinite_outputs_are_counted():
    class Some(torch.nn.Module):
        def forward(self, x):
            y = x[:, 0]
            return torch.where(y > 1.5, torch.inf, torch.where(y < -1.5, torch.nan, y))

    pair = [t.only.n_nonfinite for t in tables(model(CLOUDS, Some()), CLOUDS, TURN)]
    np.testing.assert_array_equal(*pair)
    assert pair[0].any()


def test_short_numbers_of_a_users_setting_do_not_move_rows():
    """Products with matrices, under switches for fewer digits and within autocast."""
    pytest.importorskip("e3nn_jax")
    x = rng.normal(size=(11, 9)).astype(np.float32)
    turn = T.rotations3d(acts_on="1x0e + 1x1o + 1x2e")
    plain = ep.evaluate_orbits(model(x), x, turn, backend="torch", **CHUNKS)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu"):
            short = ep.evaluate_orbits(model(x), x, turn, backend="torch", **CHUNKS)
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(short.only.displacement, plain.only.displacement)


def test_modules_in_fewer_digits():
    x = CLOUDS.reshape(11, 12)[:, :3]
    turn = T.rotations3d(acts_on="vectors")
    torch.manual_seed(0)
    half = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
    half = model(x, half.bfloat16())
    on_device, in_python = tables(half, x, turn, keep="all")
    assert on_device.only.rounding == in_python.only.rounding == 2**-7
    # Rows that two libraries move to both sides of a rounding of bfloat16 differ by that.
    assert apart(on_device, in_python) < 2**-7 / np.finfo(np.float32).eps


def test_memory_that_does_not_hold_a_batch_is_asked_for_half():
    class Large(torch.nn.Module):
        def __init__(self, most):
            super().__init__()
            self.most, self.sizes = most, []

        def forward(self, x):
            if len(x) > self.most:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            self.sizes.append(len(x))
            return torch.tanh(x[:, 0])

    whole = ep.evaluate_orbits(model(CLOUDS, Large(99)), CLOUDS, TURN, backend="torch", **CHUNKS)
    module = Large(3)
    with pytest.warns(
        RuntimeWarning, match=r"no memory for 5 rows at once .* on 3 at a time"
    ) as said:
        half = ep.evaluate_orbits(model(CLOUDS, module), CLOUDS, TURN, backend="torch", **CHUNKS)
    assert len(said) == 1
    assert max(module.sizes) == 3
    np.testing.assert_allclose(half.only.displacement, whole.only.displacement, atol=1e-6)
    with (
        pytest.warns(RuntimeWarning, match="no memory"),
        pytest.raises(RuntimeError, match=r"rows 0 to 4: CUDA out of memory"),
    ):  # half does not fit, either
        ep.evaluate_orbits(model(CLOUDS, Large(2)), CLOUDS, TURN, backend="torch", **CHUNKS)


@pytest.mark.filterwarnings("ignore")  # Dynamo's own
def test_compiled_modules_see_one_shape():
    compilations = []

    def count(graph, inputs):
        compilations.append(graph)
        return graph.forward

    module = torch.compile(model(CLOUDS).module, backend=count, dynamic=False)
    predict = ep.adapters.from_torch(module)
    on_device, in_python = tables(
        predict,
        CLOUDS,
        TURN,
        batch_dependent=True,
        keep="all",  # looks at no shorter batch
    )
    assert len(compilations) == 2  # the loop in Python compiles for the short last chunk, too
    assert apart(on_device, in_python) < ROUNDINGS


# ---- inputs -------------------------------------------------------------------------------------


def test_inputs_may_be_tensors_of_any_kind():
    expected = ep.evaluate_orbits(model(CLOUDS), CLOUDS, TURN, backend="torch", **CHUNKS)
    for x in (torch.tensor(CLOUDS), torch.tensor(CLOUDS, requires_grad=True)):
        found = ep.evaluate_orbits(model(CLOUDS), x, TURN, backend="torch", **CHUNKS)
        np.testing.assert_array_equal(found.only.displacement, expected.only.displacement)
    short = torch.tensor(CLOUDS, dtype=torch.bfloat16)
    as_float = short.float().numpy()
    one, other = (
        ep.evaluate_orbits(model(CLOUDS), x, TURN, y=x[:, :], backend="torch", **CHUNKS)
        for x in (short, as_float)
    )
    np.testing.assert_array_equal(one.only.displacement, other.only.displacement)
    still = torch.tensor(CLOUDS, requires_grad=True)
    worst = ep.worst_case(model(CLOUDS, NeedsContiguous()), still, TURN, n_steps=1, n_starts=2)
    assert len(worst) == 11
    ep.InvarianceCheck(n_draws=50).fit(still, TURN)


def test_loaders_give_their_inputs_in_lists_of_one():
    from torch.utils.data import DataLoader, TensorDataset

    x, y = torch.tensor(CLOUDS), torch.tensor(CLOUDS[:, 0])
    alone = ep.evaluate_orbits(
        model(CLOUDS), DataLoader(TensorDataset(x), batch_size=4), TURN, backend="torch", **CHUNKS
    )
    whole = ep.evaluate_orbits(model(CLOUDS), CLOUDS, TURN, backend="torch", **CHUNKS)
    np.testing.assert_array_equal(alone.only.displacement, whole.only.displacement)
    assert len(DataLoader(TensorDataset(x, y))) == 11


# ---- what a GPU would wait for, without one ------------------------------------------------------

CROSSING = {
    *("numpy", "cpu", "item", "tolist", "__array__", "__bool__", "__float__", "__int__"),
    *("__index__", "__dlpack__", "nonzero", "unique", "masked_select"),
}


def crossings():
    """Return a mode that raises where Python asks a tensor for its numbers."""
    from torch.overrides import TorchFunctionMode

    class Crossings(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            name = getattr(function, "__name__", str(function))
            if name in CROSSING:
                raise AssertionError(f"{name}: the host waits for the device")
            return function(*args, **(kwargs or {}))

    return Crossings()


def chunk_and_pass(predict, x, transform, **options):
    """Return a pass whose first chunk has been looked at, and that chunk."""
    import jax

    from equiprob.orbits.chunk import Chunk
    from equiprob.orbits.designs import make_design
    from equiprob.orbits.keep import Keep
    from equiprob.orbits.keys import content_ids
    from equiprob.orbits.orbit_pass import OrbitPass

    ids = content_ids(jax.tree.leaves(x))
    design = make_design(transform, "quasi", 6, 0)
    keep = Keep.of(options.pop("keep", "all"), None)
    declared = options.pop("declared", None)
    orbit_pass = OrbitPass(predict, transform, design, len(ids), None, "torch", keep)
    chunk = Chunk(0, x, None, ids, ids, declared)
    orbit_pass.evaluate(chunk, probe=True)
    return orbit_pass, chunk


CASES = {
    "points": (lambda: model(CLOUDS), CLOUDS, TURN, {}),
    "images": (
        lambda: model(IMAGES, Channels()),
        IMAGES,
        T.product(
            T.rotations2d(acts_on="image_channels_first", fill=0.2),
            T.translations(1.0, acts_on="image_channels_first", wrap=True),
        ),
        {"keep": [0.2, 0.7]},
    ),
    "forces": (
        lambda: model({}, Springs(), gradients=True),
        {"at": CLOUDS, "kind": np.zeros((11, 4), np.int32)},
        T.rotations3d(
            acts_on={"at": "points", "kind": "invariant"},
            output_action={"energy": "invariant", "forces": "vectors"},
        ),
        {"declared": {"forces": ep.Output(per="item", mask=np.ones((11, 4), bool))}},
    ),
    "other coordinates": (lambda: model(CLOUDS), CLOUDS, T.conjugated(TURN), {}),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_waits_within_a_chunk(case, monkeypatch):
    make, x, transform, options = CASES[case]
    orbit_pass, chunk = chunk_and_pass(make(), x, transform, **options)
    uploads, original = [], torch.from_numpy
    monkeypatch.setattr(torch, "from_numpy", lambda v: uploads.append(v.shape) or original(v))
    with crossings():
        under_way = orbit_pass.begin(chunk)
    # Rows, the arrays of the transformations, weights, masks and ranges: few, and once a chunk.
    assert 0 < len(uploads) <= 12
    arrived = under_way.finish(probe=False)
    assert all(np.isfinite(s.pair_sq).all() for s in arrived.statistics.values())


def test_a_chunk_comes_back_in_one_transfer(monkeypatch):
    make, x, transform, options = CASES["forces"]
    orbit_pass, chunk = chunk_and_pass(make(), x, transform, **options)
    under_way, copies = orbit_pass.begin(chunk), []
    original = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda t: copies.append(t.shape) or original(t))
    under_way.finish(probe=False)
    assert len(copies) == 1


@pytest.mark.parametrize(
    "wait",
    [lambda t: t.sum().item(), lambda t: bool(t[0] > 0), lambda t: t.numpy(), lambda t: t.tolist()],
)
def test_the_test_of_waiting_has_power(wait):
    class Asks(torch.nn.Module):
        waits = False

        def forward(self, x):
            if self.waits:
                wait(x[0, 0])
            return x[:, 0]

    module = Asks()
    orbit_pass, chunk = chunk_and_pass(model(CLOUDS, module), CLOUDS, TURN)
    module.waits = True
    with crossings(), pytest.raises(RuntimeError, match="the host waits for the device"):
        orbit_pass.begin(chunk)


def on_no_gpu(module, x, transform, device="cuda", call=None, gradients=False):
    """Return where all that a chunk leaves behind is, on a device that does not exist."""
    import jax
    from torch._subclasses.fake_tensor import FakeTensorMode

    from equiprob.orbits.designs import make_design
    from equiprob.orbits.sums import DisplacementSums
    from equiprob.orbits.torch_backend import DeviceWork
    from equiprob.orbits.torch_device import TorchDevice
    from equiprob.orbits.torch_memory import InMemory

    real = model(x, module(), gradients=gradients)
    output = real(x)
    design = make_design(transform, "quasi", 6, 0)
    n = len(jax.tree.leaves(x)[0])
    parameters = design.parameters(transform, np.arange(n, dtype=np.uint64))
    with FakeTensorMode():
        with torch.device(device):
            there = module()
        predict = ep.adapters.from_torch(
            there.eval(), device=device, dtype=torch.float32, gradients=gradients, call=call
        )
        predict = InMemory(predict, may_halve=False)
        work = DeviceWork(
            predict, TorchDevice(torch.device(device)), transform.on(x, output), output
        )
        raw, blocks = work.evaluate(x, parameters)
        weights = work.device.put_sums(design.weights)
        wide = [leaf.reshape(1, n, -1).double() for leaf in raw]
        sums = [DisplacementSums(calls, design, weights, None, True) for calls in wide]
        for block in blocks:
            for own, leaf in zip(sums, block, strict=True):
                own.add(leaf.reshape(len(leaf), n, -1).double())
        left = [array for own in sums for array in own.arrays().values()]
    return {str(array.device).split(":")[0] for array in left}, {array.dtype for array in left}


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(2, 3, 3)

    def forward(self, x):
        return torch.relu(self.layer(x)).mean((2, 3))


TURNED_IMAGES = T.rotations2d(acts_on="image_channels_first", fill=0.1)


@pytest.mark.filterwarnings("ignore")
def test_all_stays_on_a_gpu_that_does_not_exist():
    assert on_no_gpu(Network, IMAGES, TURNED_IMAGES) == ({"cuda"}, {torch.float64})
    turn = T.product(TURN, T.permutations(4, acts_on="permuted"))
    points = lambda: Elementwise(CLOUDS.shape[1:])  # noqa: E731
    assert on_no_gpu(points, CLOUDS, turn) == ({"cuda"}, {torch.float64})
    # Derivatives need a GPU's context even where it is none: "meta" stands for it.
    _, x, forces, _ = CASES["forces"]
    assert on_no_gpu(Springs, x, forces, "meta", gradients=True) == ({"meta"}, {torch.float64})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "call",
    [
        lambda module, batch: module(batch) * module(batch).sum().item(),
        lambda module, batch: module(batch) * torch.ones(3),
        lambda module, batch: torch.from_numpy(module(batch).cpu().numpy()),
    ],
)
def test_the_gpu_that_does_not_exist_has_power(call):
    with pytest.raises(Exception, match=r"(?i)device|local_scalar|numpy|fake"):
        on_no_gpu(Network, IMAGES, TURNED_IMAGES, call=call)


# ---- the host prepares the next chunk meanwhile -------------------------------------------------


@pytest.fixture
def elsewhere(monkeypatch):
    """Let passes believe that the CPU is another device; return what they did, in order."""
    from equiprob.orbits.orbit_pass import OrbitPass
    from equiprob.orbits.under_way import UnderWay

    monkeypatch.setattr(OrbitPass, "runs_ahead", property(lambda self: True))
    done = []
    begin, finish = OrbitPass.begin, UnderWay.finish

    def began(self, chunk, **options):
        found = begin(self, chunk, **options)
        done.append(("begun", chunk.start))
        return found

    def finished(self, **options):
        done.append(("finished", self.start))
        return finish(self, **options)

    monkeypatch.setattr(OrbitPass, "begin", began)
    monkeypatch.setattr(UnderWay, "finish", finished)
    return done


def test_the_next_chunk_is_begun_before_this_one_is_waited_for(elsewhere):
    table = ep.evaluate_orbits(model(CLOUDS), CLOUDS, TURN, backend="torch", **CHUNKS)
    assert elsewhere == [
        ("begun", 0),
        ("finished", 0),
        ("begun", 5),
        ("begun", 10),
        ("finished", 5),
        ("finished", 10),
    ]
    expected = ep.evaluate_orbits(model(CLOUDS), CLOUDS, TURN, backend="python", **CHUNKS)
    assert apart(table, expected) < ROUNDINGS


def test_what_was_begun_before_a_failure_is_kept(elsewhere, tmp_path):
    class Fails(torch.nn.Module):
        def forward(self, x):
            if (x.abs() > 9).any():
                raise RuntimeError("too far")
            return x[:, 0]

    x = np.concatenate([CLOUDS, CLOUDS + 0.1])
    x[17] = 10
    path = tmp_path / "orbits.nc"
    with pytest.raises(RuntimeError, match="too far"):
        ep.evaluate_orbits(model(x, Fails()), x, TURN, backend="torch", checkpoint=path, **CHUNKS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        elsewhere.clear()
        with pytest.raises(RuntimeError, match="too far"):
            ep.evaluate_orbits(
                model(x, Fails()), x, TURN, backend="torch", checkpoint=path, **CHUNKS
            )
    assert ("finished", 5) not in elsewhere  # rows 0 to 14 are in the file
    assert ("finished", 10) not in elsewhere
