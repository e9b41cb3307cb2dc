"""What PyTorch models are put to: layers, searches by gradient, predictors that are modules."""

import pickle

import jax.numpy as jnp
import numpy as np
import pytest
from leaf_words import T

import equiprob as ep
from equiprob.levels.averaged import averaged_predictor
from equiprob.levels.predictor import AveragedPredictor

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)
IMAGES = rng.random((12, 1, 8, 8)).astype(np.float32)
CLOUDS = rng.normal(size=(9, 4, 3)).astype(np.float32)
QUARTERS = T.cyclic(4, acts_on="image_channels_first")


# ---- layers -------------------------------------------------------------------------------------


class Network(torch.nn.Module):
    """A pointwise layer, which turns with the image, and one that does not, both before ReLUs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.point = torch.nn.Conv2d(1, 3, 1)
        self.wide = torch.nn.Conv2d(3, 2, 3, padding=1)
        self.relu = torch.nn.ReLU(inplace=True)
        self.unused = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.relu(self.wide(self.relu(self.point(x)))).mean((2, 3))


def test_each_layer_has_a_table():
    layers = ["point", "wide", "relu"]
    predict = ep.adapters.from_torch(Network().eval(), layers=layers)
    assert set(predict(IMAGES)) == {"output", "point", "relu", "wide", "relu (2)"}
    moves = dict.fromkeys(["point", "wide", "relu", "relu (2)"], "image_channels_first")
    turns = T.cyclic(
        4, acts_on="image_channels_first", output_action=moves | {"output": "invariant"}
    )
    for backend in ("python", "torch"):
        table = ep.evaluate_orbits(predict, IMAGES, turns, n_transforms=4, backend=backend)
        error = {name: np.sqrt(table[name].only.pair_sq.mean()) for name in table.outputs}
        # What follows works in place: without a copy these layers would show it.
        assert table["point"].only.base.min() < 0
        assert table["wide"].only.base.min() < 0
        assert error["point"] < 1e-6
        assert error["wide"] > 1e-2
        assert error["output"] > 1e-4


def test_layers_that_cannot_be_seen_are_refused_by_name():
    module = Network().eval()
    for layers in (["poin"], ["point", "point"]):
        with pytest.raises(ValueError, match=r"layers must list names .* they are \['point'"):
            ep.adapters.from_torch(module, layers=layers)
    with pytest.raises(ValueError, match=r"\['unused'\] were not called"):
        ep.adapters.from_torch(module, layers=["unused"])(IMAGES)
    both = ep.adapters.from_torch(module, layers=["wide"], call=lambda m, batch: {"wide": m(batch)})
    with pytest.raises(ValueError, match=r"\['wide'\] name both"):
        both(IMAGES)
    with pytest.raises(ValueError, match="needs the module itself"):
        ep.adapters.from_torch(torch.nn.DataParallel(module).eval(), layers=["module.wide"])

    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = torch.nn.GRU(3, 2, batch_first=True)

        def forward(self, x):
            return self.cell(x)[0]

    with pytest.raises(TypeError, match="'cell' returned tuple"):
        ep.adapters.from_torch(Recurrent().eval(), layers=["cell"])(CLOUDS)
    assert not any(part._forward_hooks for part in module.modules())


# ---- the worst case -----------------------------------------------------------------------------


class Bent(torch.nn.Module):
    def forward(self, x):
        return torch.tanh(x[:, 0, :1] + 0.3 * x[:, 1, 1:2] ** 2)


def test_the_worst_case_is_found_by_the_gradient():
    turn, options = T.rotations3d(acts_on="points"), {"n_starts": 4, "n_steps": 12, "batch_size": 4}
    predict = ep.adapters.from_torch(Bent().eval())
    in_jax = ep.worst_case(
        lambda x: jnp.tanh(x[:, 0, :1] + 0.3 * x[:, 1, 1:2] ** 2), CLOUDS, turn, **options
    )
    for backend in ("auto", "torch"):
        found = ep.worst_case(predict, CLOUDS, turn, backend=backend, **options)
        assert found.method == in_jax.method == "gradient ascent"
        np.testing.assert_array_equal(found.rows, in_jax.rows)
        np.testing.assert_allclose(found.error, in_jax.error, rtol=1e-4)
    cut_off = ep.adapters.from_torch(
        Bent().eval(), call=lambda module, batch: module(batch.detach())
    )
    assert ep.worst_case(cut_off, CLOUDS, turn, **options).method == "pattern search"


def test_the_worst_case_of_images_and_of_finite_sets():
    turn = T.rotations2d(0.5, acts_on="image_channels_first")
    predict = ep.adapters.from_torch(Network().eval())
    found = ep.worst_case(predict, IMAGES, turn, n_starts=3, n_steps=3, backend="torch")
    assert found.method == "gradient ascent"
    assert (found.error >= found.start_error).all()
    every = ep.worst_case(predict, IMAGES, QUARTERS, backend="torch")
    in_python = ep.worst_case(predict, IMAGES, QUARTERS, backend="python")
    np.testing.assert_allclose(every.error, in_python.error, rtol=1e-5)


# ---- predictors ---------------------------------------------------------------------------------


def averages(predict, transform, parameters, keep=0.25):
    weights = np.arange(1.0, len(parameters) + 1)
    arguments = transform, parameters, weights / weights.sum(), keep
    return averaged_predictor(predict, *arguments), AveragedPredictor(predict, *arguments)


CASES = {
    "images": (Network, IMAGES, T.rotations2d(0.5, acts_on="image_channels_first"), {}),
    "points": (Bent, CLOUDS, T.rotations3d(acts_on="points"), {}),
}


class Energy(torch.nn.Module):
    def forward(self, batch):
        at = batch["at"].requires_grad_()
        energy = torch.exp(-torch.cdist(at, at)).sum((1, 2)) + at[..., 0].sum(1) ** 2
        (slope,) = torch.autograd.grad(energy.sum(), at)
        return {"energy": energy, "forces": -slope}


@pytest.mark.parametrize("name", CASES)
def test_a_predictor_is_a_module_that_averages(name):
    module, x, transform, _ = CASES[name]
    predict = ep.adapters.from_torch(module().eval())
    parameters = transform.sample_many(np.random.default_rng(1), 5)
    averaged, loop = averages(predict, transform, parameters)
    assert isinstance(averaged, torch.nn.Module)
    assert averaged.n_evaluations == loop.n_evaluations == 6
    expected = loop(x)
    assert np.abs(expected - predict(x)).max() > 1e-3
    np.testing.assert_allclose(averaged(x), expected, atol=2e-6)
    tensors = torch.tensor(x)
    np.testing.assert_allclose(averaged(tensors).detach(), expected, atol=2e-6)
    np.testing.assert_allclose(averaged(tensors[:3]).detach(), expected[:3], atol=2e-6)
    again = pickle.loads(pickle.dumps(averaged))
    np.testing.assert_allclose(again(x), expected, atol=2e-6)
    # Adapted again, it is a model like any other.
    again = ep.adapters.from_torch(averaged)
    table = ep.evaluate_orbits(again, x, transform, n_transforms=2, backend="torch")
    np.testing.assert_allclose(table.only.base, expected.reshape(len(x), -1), atol=2e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_predictor_is_exported_as_one_program():
    module, x, transform, _ = CASES["images"]
    predict = ep.adapters.from_torch(module().eval())
    parameters = transform.sample_many(np.random.default_rng(1), 3)
    averaged, loop = averages(predict, transform, parameters)
    tensors = torch.tensor(x)
    with pytest.raises(ValueError, match="call it once"):
        torch.export.export(averaged, (tensors,), strict=False)
    averaged(tensors)  # looks at how these rows move
    rows = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(averaged, (tensors,), dynamic_shapes=rows, strict=False).module()
    np.testing.assert_allclose(program(tensors + 0.1).detach(), loop(x + 0.1), atol=2e-6)
    few = program(tensors[:3] + 0.1).detach()  # another number of rows
    np.testing.assert_allclose(few, loop(x + 0.1)[:3], atol=2e-6)


def test_predictors_of_forces_and_of_actions_that_pytorch_cannot_run():
    turn = T.rotations3d(
        acts_on={"at": "points"}, output_action={"energy": "invariant", "forces": "vectors"}
    )
    predict = ep.adapters.from_torch(Energy().eval(), gradients=True)
    averaged, loop = averages(predict, turn, turn.sample_many(np.random.default_rng(1), 4))
    found, expected = averaged({"at": CLOUDS}), loop({"at": CLOUDS})
    for key in ("energy", "forces"):
        np.testing.assert_allclose(found[key], expected[key], atol=5e-5)
    scale = T.from_functions(
        lambda generator: generator.normal() ** 2, lambda p, row: row * float(p[0]), identity=1.0
    )
    averaged, loop = averages(
        ep.adapters.from_torch(Bent().eval()), scale, np.array([[0.5], [1.5]])
    )
    np.testing.assert_allclose(averaged(CLOUDS), loop(CLOUDS))
    with pytest.raises(ValueError, match="the host must move these rows"):
        averaged(torch.tensor(CLOUDS))


def test_a_level_ships_a_module():
    predict = ep.adapters.from_torch(Bent().eval())
    averaged, loop = averages(predict, T.rotations3d(), np.zeros((0, 3)), keep=1.0)
    np.testing.assert_array_equal(averaged(CLOUDS), loop(CLOUDS))
    np.testing.assert_array_equal(averaged(torch.tensor(CLOUDS)), loop(CLOUDS))
    predict = ep.adapters.from_torch(Bent().eval())
    turn = T.rotations3d(0.5, acts_on="points")
    orbits = ep.evaluate_orbits(predict, CLOUDS, turn, y=predict(CLOUDS) + 0.1, n_transforms=4)
    level = ep.SymmetryLevel(n_draws=50).fit(orbits)
    assert isinstance(level.predictor(predict), torch.nn.Module)


# ---- the local error ----------------------------------------------------------------------------


def local(predict, x, transform):
    return ep.LocalEquivarianceError(n_draws=50).fit(predict, x, transform).rows["local_error"]


def test_the_local_error_is_that_of_jax():
    predict = ep.adapters.from_torch(Bent().eval())
    turn = T.rotations3d(acts_on="points")
    expected = local(lambda x: jnp.tanh(x[:, 0, :1] + 0.3 * x[:, 1, 1:2] ** 2), CLOUDS, turn)
    np.testing.assert_allclose(local(predict, CLOUDS, turn), expected, rtol=1e-4)


def test_the_local_error_of_images_is_that_of_jax():
    weights = rng.normal(size=(8, 8)).astype(np.float32)

    class Weighted(torch.nn.Module):
        def forward(self, x):
            return (x[:, 0] * torch.tensor(weights)).sum((1, 2))

    for transform in (
        T.rotations2d(acts_on="image_channels_first"),
        T.translations(1.0, acts_on="image_channels_first", fill=0.3),
    ):
        expected = local(lambda x: (x[:, 0] * weights).sum((1, 2)), IMAGES, transform)
        found = local(ep.adapters.from_torch(Weighted().eval()), IMAGES, transform)
        np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_modules_that_cut_off_their_derivative_are_refused():
    class CutOff(torch.nn.Module):
        def forward(self, x):
            return torch.tanh(x[:, 0]) + torch.tensor(x[:, 1].numpy())

    class Steps(torch.nn.Module):
        def forward(self, x):
            return torch.tanh(x[:, 0]) + x[:, 1].detach()

    turn = T.rotations3d(acts_on="points")
    for module in (CutOff, Steps):
        with pytest.raises(ValueError, match=r"derivative of predict is not|cannot differentiate"):
            local(ep.adapters.from_torch(module().eval()), CLOUDS, turn)


def test_the_local_error_of_forces():
    turn = T.rotations3d(
        acts_on={"at": "points"}, output_action={"energy": "invariant", "forces": "vectors"}
    )

    class Dipole(torch.nn.Module):
        def forward(self, batch):
            at = batch["at"].requires_grad_()
            energy = (at**2).sum((1, 2)) + at[..., 0].sum(1) ** 2
            (slope,) = torch.autograd.grad(energy.sum(), at)
            return {"energy": energy, "forces": -slope}

    def in_jax(batch):
        import jax

        def energy(at):
            return (at**2).sum((1, 2)) + at[..., 0].sum(1) ** 2

        return {
            "energy": energy(batch["at"]),
            "forces": -jax.grad(lambda at: energy(at).sum())(batch["at"]),
        }

    x = {"at": CLOUDS}
    found = local(ep.adapters.from_torch(Dipole().eval(), gradients=True), x, turn)
    np.testing.assert_allclose(found, local(in_jax, x, turn), rtol=1e-3)
