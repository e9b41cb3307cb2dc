"""Models and data of other packages, as users have them; `make test-ecosystem` installs these."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import equiprob as ep
from benchmarks.trials import NEEDS, SCRIPTS, lines_of

mpl.use("Agg")
torch = pytest.importorskip("torch")

DOCS = Path(__file__).parents[1] / "docs"

_PACKAGES = {
    "chgnet_crystals": ("chgnet",),
    "graph_network": ("torch_geometric",),
    "irreps_network": ("e3nn",),
    "images_and_loader": ("torchvision",),
    "lightning_run": ("lightning",),
    "onnx_angles": ("rapidocr_onnxruntime",),
}

# Those packages themselves.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("page", "package"),
    [("from_graphs", "torch_geometric"), ("from_torchvision", "torchvision")],
)
def test_pages_that_need_other_packages_run(page, package, tmp_path, monkeypatch):
    pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    text, names = (DOCS / f"{page}.md").read_text("utf-8"), {}
    for code in re.findall(r"```\{code-block\} python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, page, "exec"), names)
    assert names


@pytest.mark.parametrize("name", NEEDS)
def test_trials_of_the_documentation_draw_a_figure_by_five_lines(name, tmp_path, monkeypatch):
    for package in _PACKAGES.get(name, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    script = SCRIPTS / f"{name}.py"
    assert lines_of(script) <= 5
    exec(compile(script.read_text("utf-8"), script.name, "exec"), {"__name__": name})
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_a_pretrained_potential_is_equivariant_up_to_rounding():
    """CHGNet computes in float32 behind float64 arrays, and cancels large forces."""
    pytest.importorskip("chgnet")
    from ase.build import bulk
    from chgnet.model.dynamics import CHGNetCalculator

    crystals = [bulk("NaCl", "rocksalt", a=5.6), bulk("Si", a=5.4), bulk("Fe", a=2.9), bulk("Cu")]
    for i, one in enumerate(crystals):
        one.rattle(0.05, seed=i)
    model = ep.adapters.from_ase(CHGNetCalculator(use_device="cpu"), crystals)
    orbits = model.orbits(model.rotations(), n_transforms=4)
    for name in ("energy", "forces", "stress"):
        assert orbits[name].only.rounding == np.finfo(np.float32).eps
        assert ep.ModelEquivarianceError().fit(orbits[name]).is_exact


X = np.random.default_rng(0).normal(size=(300, 2)).astype(np.float32)
TURNS = ep.transforms.rotations2d(acts_on="vectors")


def test_lightning_logs_the_error_and_trains_as_before():
    lightning = pytest.importorskip("lightning")

    class Network(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(2, 16),
                torch.nn.Dropout(0.5),
                torch.nn.Tanh(),
                torch.nn.Linear(16, 1),
            )
            self.layers[1].eval()  # a part that its owner froze
            self.modes = []

        def forward(self, x):
            return self.layers(x)

        def training_step(self, batch, _):
            self.modes.append([part.training for part in self.modules()])
            return (self(batch[0]) - batch[1]).square().mean()

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 0.01)

    rows = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(X).norm(dim=1)[:, None])
    watch = ep.callbacks.Watch(X, TURNS, every=2, share=1e9)
    network = Network()
    trainer = lightning.Trainer(
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        callbacks=[ep.callbacks.for_lightning(watch)],
    )
    trainer.fit(network, torch.utils.data.DataLoader(rows, batch_size=100))
    assert [check.epoch for check in watch.checks] == [0, 2]
    logged = float(trainer.callback_metrics["equivariance/error"])
    assert logged == pytest.approx(np.median(watch.checks[-1].result.draws["error"]), rel=1e-5)
    assert all(modes == network.modes[0] for modes in network.modes)


def test_keras_logs_the_error(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    watch = ep.callbacks.Watch(X, TURNS, share=1e9)
    callback = ep.callbacks.for_keras(watch)
    history = model.fit(X, X[:, :1], epochs=2, verbose=0, callbacks=[callback]).history
    assert len(history["equivariance/error"]) == len(watch.checks) == 2


@pytest.mark.parametrize("kind", ["pt", "pt2"])
def test_programs_of_torch_on_the_command_line(tmp_path, kind):
    from equiprob.cli.files import read_models

    network, path = torch.nn.Linear(2, 1).eval(), tmp_path / f"net.{kind}"
    if kind == "pt":
        torch.jit.save(torch.jit.script(network), path)
    else:
        rows = torch.export.Dim("row", min=2)
        made = torch.export.export(network, (torch.zeros(4, 2),), dynamic_shapes=({0: rows},))
        torch.export.save(made, path)
    model = read_models([str(path)], None)["net"]
    np.testing.assert_allclose(model(X), network(torch.tensor(X)).detach(), rtol=1e-5, atol=1e-6)
    (tmp_path / "no.pt").write_bytes(b"no")
    with pytest.raises(ValueError, match="no program"):
        read_models([str(tmp_path / "no.pt")], None)


def test_irreps_of_e3nn_declare_inputs_and_outputs():
    """Objects and strings, of the packages for PyTorch and for JAX."""
    o3 = pytest.importorskip("e3nn.o3")
    torch.manual_seed(0)
    given, returned = o3.Irreps("2x0e + 2x1o"), o3.Irreps("1x0e + 1x1o + 1x2e")
    layer = o3.FullyConnectedTensorProduct(given, given, returned).eval()
    x = np.random.default_rng(0).normal(size=(40, given.dim)).astype(np.float32)
    predict = ep.adapters.from_torch(layer, call=lambda module, rows: module(rows, rows))
    import e3nn_jax

    kinds = [(given, returned), (str(given), str(returned))]
    kinds.append((e3nn_jax.Irreps(str(given)), e3nn_jax.Irreps(str(returned))))
    for acts_on, output_action in kinds:
        turns = ep.transforms.rotations3d(
            parity="both", acts_on=acts_on, output_action=output_action
        )
        orbits = ep.evaluate_orbits(predict, x, turns, n_transforms=4)
        assert ep.ModelEquivarianceError().fit(orbits).is_exact
    wrong = ep.transforms.rotations3d(parity="both", acts_on=given, output_action="1x0e+1x1e+1x2e")
    orbits = ep.evaluate_orbits(predict, x, wrong, n_transforms=4)
    assert not ep.ModelEquivarianceError().fit(orbits).is_exact


def test_matrices_of_e3nn_are_those_of_e3nn_jax():
    """For those who have PyTorch's e3nn alone; the sign of the parity and the basis matter."""
    o3 = pytest.importorskip("e3nn.o3")
    from equiprob.transforms.irreps import _matrices_of_torch, _representation

    text = "1x0o + 2x1o + 1x1e + 1x2e + 1x3o"
    vectors = np.random.default_rng(0).normal(size=(20, 3)) * np.linspace(0, 2, 20)[:, None]
    parity = np.arange(20.0)[:, None] % 2
    dimension, matrices = _representation(text)
    found = _matrices_of_torch(o3.Irreps(text), vectors, parity)
    assert found.shape == (20, dimension, dimension)
    np.testing.assert_allclose(found, matrices(vectors, parity), atol=1e-11)
    assert torch.get_default_dtype() == torch.float32
    assert np.abs(found - matrices(-vectors, parity)).max() > 0.1  # the twin
    assert np.abs(found - matrices(vectors, 0 * parity)).max() > 0.1


def test_rows_of_other_packages_are_refused_by_the_helper_that_takes_them():
    data = pytest.importorskip("torch_geometric.data")
    graphs = [data.Data(x=torch.ones(2, 1), edge_index=torch.zeros(2, 1, dtype=torch.long))] * 3
    rows = torch.utils.data.TensorDataset(torch.tensor(X))
    for x, message in [
        (graphs, r"ep\.adapters\.from_graphs"),
        (data.Batch.from_data_list(graphs), r"ep\.adapters\.from_graphs"),
        (rows, r"torch\.utils\.data\.DataLoader"),
    ]:
        with pytest.raises(TypeError, match=message):
            ep.evaluate_orbits(lambda rows: rows, x, TURNS)


def test_a_loader_of_inputs_and_targets_is_a_stream():
    y = X[:, 0] ** 2
    rows = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(y))
    loader = torch.utils.data.DataLoader(rows, batch_size=64)
    predict = lambda rows: (rows**2).sum(axis=1)  # noqa: E731
    streamed = ep.evaluate_orbits(predict, loader, TURNS, n_transforms=4)
    whole = ep.evaluate_orbits(predict, X, TURNS, y=y, n_transforms=4)
    np.testing.assert_allclose(streamed.only.pair_sq, whole.only.pair_sq, rtol=1e-4, atol=1e-12)
    np.testing.assert_array_equal(streamed.row_ids, whole.row_ids)


@pytest.mark.parametrize("package", ["datasets", "grain"])
def test_datasets_of_other_packages_are_streams(package):
    module, y = pytest.importorskip(package), X[:, 0] ** 2
    predict = lambda rows: (rows**2).sum(axis=1) + 0.1 * rows[:, 0]  # noqa: E731
    whole = ep.evaluate_orbits(predict, X, TURNS, y=y, n_transforms=4)
    if package == "grain":
        stream = module.MapDataset.source(list(zip(X, y, strict=True))).batch(64)
    else:
        rows = module.Dataset.from_dict({"x": X, "y": y})
        with pytest.raises(TypeError, match=r"with_format\('numpy'\).*'x', 'y'"):
            ep.evaluate_orbits(predict, rows, TURNS)
        rows = rows.with_format("numpy")
        np.testing.assert_array_equal(rows[:]["x"], X)
        stream = ((batch["x"], batch["y"]) for batch in rows.iter(batch_size=64))
    streamed = ep.evaluate_orbits(predict, stream, TURNS, n_transforms=4)
    np.testing.assert_allclose(streamed.only.pair_sq, whole.only.pair_sq, rtol=1e-4, atol=1e-12)
    np.testing.assert_array_equal(streamed.only.y, whole.only.y)


def test_an_average_of_a_module_is_an_onnx_file_for_any_number_of_rows(tmp_path):
    pytest.importorskip("onnxscript")
    images = np.random.default_rng(0).normal(size=(60, 8, 8)).astype(np.float32)
    layers = torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2)
    predict = ep.adapters.from_torch(torch.nn.Sequential(*layers).eval())
    y = np.repeat(images.mean(axis=(1, 2))[:, None], 2, axis=1)
    orbits = ep.evaluate_orbits(predict, images, ep.transforms.rotations2d(), y=y, n_transforms=4)
    averaged = ep.SymmetryLevel().fit(orbits).predictor(predict)
    assert averaged.n_evaluations > 1
    few = torch.tensor(images[:5])
    averaged(few)  # looks at how rows move
    rows = ({0: torch.export.Dim("rows")},)
    torch.onnx.export(
        averaged, (few,), tmp_path / "averaged.onnx", dynamo=True, dynamic_shapes=rows
    )
    shipped = ep.adapters.from_onnx(tmp_path / "averaged.onnx")
    np.testing.assert_allclose(shipped(images[:7]), averaged(images[:7]), atol=2e-6)
    assert np.abs(shipped(images) - predict(images)).max() > 1e-3


def turned_by(library, degrees):
    """Return a function of images ``(1, 65, 65)`` that turns each by up to so many degrees."""
    if library == "torchvision":
        from torchvision.transforms import v2

        bilinear = v2.InterpolationMode.BILINEAR
        return lambda image: v2.RandomRotation(degrees, interpolation=bilinear)(image)
    if library == "kornia":
        import kornia

        turn = kornia.augmentation.RandomRotation(degrees, p=1.0)
        return lambda image: turn(image[None])[0]
    import albumentations

    turn = albumentations.Rotate(limit=degrees, p=1.0)
    return lambda image: torch.tensor(turn(image=image[0].numpy())["image"])[None]


@pytest.mark.parametrize("library", ["torchvision", "kornia", "albumentations"])
def test_a_recommended_range_is_the_same_range_in_training(library):
    """What `docs/from_torchvision.md` passes on: degrees, either way, in each library.

    The largest of 200 uniform angles is below .9 of the range with probability .9^200 = 7e-10.
    """
    pytest.importorskip(library)
    torch.manual_seed(0)
    across = torch.arange(65.0) - 32
    spot = torch.exp(-((across[:, None]) ** 2 + (across[None] - 20) ** 2) / 18)[None]
    turn, angles = turned_by(library, 20.0), []
    for _ in range(200):
        moved = turn(spot)[0]
        down, right = (moved * across[:, None]).sum(), (moved * across[None]).sum()
        angles.append(abs(float(torch.rad2deg(torch.atan2(down, right)))))
    assert 18 < max(angles) < 20.5


@pytest.mark.parametrize("library", ["torchvision", "kornia", "albumentations"])
def test_pipelines_of_augmentation_move_rows(library):
    """A random flip, of a mean that it leaves and of one that it does not."""
    pytest.importorskip(library)
    if library == "torchvision":
        from torchvision.transforms import v2

        augment = v2.RandomHorizontalFlip(0.5)
    elif library == "kornia":
        import kornia.augmentation

        augment = kornia.augmentation.RandomHorizontalFlip(p=0.5)
    else:
        import albumentations

        augment = albumentations.Compose([albumentations.HorizontalFlip(p=0.5)])
    images = np.random.default_rng(0).random((40, 1, 8, 8)).astype(np.float32)
    images[..., :4] += 1
    flips = ep.transforms.from_augmentation(augment, acts_on="image_channels_first")

    def error(predict):
        table = ep.evaluate_orbits(predict, images, flips, n_transforms=4)
        return np.sqrt(table.only.pair_sq.mean())

    assert error(lambda x: x.mean(axis=(1, 2, 3))) < 1e-6
    # Half of 160 draws flip, and change the answer by 1: .71, with a standard error of .03.
    assert error(lambda x: x[..., :4].mean(axis=(1, 2, 3))) == pytest.approx(0.71, abs=0.15)
