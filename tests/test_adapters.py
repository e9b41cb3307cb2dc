"""Models of other packages as callables: the same model gives the same table through each."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from refusals import refuses

import equiprob as ep
from equiprob.levels.predictor import AveragedPredictor

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 3)).astype(np.float32)
WEIGHTS = [rng.normal(size=shape).astype(np.float32) / 2 for shape in ((3, 8), (8,), (8, 2))]
TURN = ep.transforms.rotations3d(acts_on="vectors")


def network(x):
    first, bias, last = WEIGHTS
    return jnp.tanh(x @ first + bias) @ last


def table_of(predict, x=X, transform=TURN, **arguments):
    return ep.evaluate_orbits(predict, x, transform, n_transforms=4, **arguments)


def assert_same_table(one, other):
    for name in ("base", "displacement", "pair_sq"):
        values, expected = (getattr(table.only, name) for table in (one, other))
        np.testing.assert_allclose(values, expected, rtol=2e-4, atol=2e-6, err_msg=name)


def differ(one, other):
    """Whether two tables differ by more than rounding."""
    try:
        assert_same_table(one, other)
    except AssertionError:
        return True
    return False


def test_the_comparison_of_tables_has_power():
    assert differ(table_of(network), table_of(lambda x: network(x) * (1 + 1e-3)))


# ---- ONNX ---------------------------------------------------------------------------------------


def onnx_network(rows="row", *, names=("output",)):
    """Return the bytes of a file of the network, a copy of its output under each name."""
    from onnx import TensorProto, helper, numpy_helper

    constants = [
        numpy_helper.from_array(w, n) for w, n in zip(WEIGHTS, ("w1", "bias", "w2"), strict=True)
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h1"]),
        helper.make_node("Add", ["h1", "bias"], ["h2"]),
        helper.make_node("Tanh", ["h2"], ["h3"]),
        helper.make_node("MatMul", ["h3", "w2"], ["h4"]),
        *(helper.make_node("Identity", ["h4"], [name]) for name in names),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "network",
        [info("x", TensorProto.FLOAT, [rows, 3])],
        [info(name, TensorProto.FLOAT, [rows, 2]) for name in names],
        constants,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def averaged(predict, transform):
    """Return a quarter of a model, and three quarters of its average over 8 transformations."""
    parameters = transform.law.sample_many(np.random.default_rng(1), 8)
    return AveragedPredictor(predict, transform, parameters, np.full(8, 1 / 8), keep=0.25)


def test_an_average_is_one_onnx_file(tmp_path):
    """It says what the average says, to rounding; its twin, the model itself, does not."""
    predict = ep.adapters.from_onnx(onnx_network())
    turns = ep.transforms.rotations3d(acts_on="vectors", output_action="invariant")
    average = averaged(predict, turns)
    assert average.n_evaluations == 9
    path = predict.save_average(average, tmp_path / "average.onnx", X[:3])
    again = ep.adapters.from_onnx(path)
    np.testing.assert_allclose(again(X), average(X), atol=1e-5)
    assert np.abs(again(X) - predict(X)).max() > 0.05
    assert path.stat().st_size < 20_000


def test_averages_that_no_graph_holds_are_refused(tmp_path):
    predict, file = ep.adapters.from_onnx(onnx_network()), tmp_path / "average.onnx"
    turns = ep.transforms.rotations3d(acts_on="vectors", output_action="invariant")
    average = averaged(predict, turns)
    with refuses("what level.predictor.* returns for this model", error=TypeError):
        ep.adapters.from_onnx(onnx_network()).save_average(average, file, X[:3])
    fixed = ep.adapters.from_onnx(onnx_network(rows=7))
    with refuses("exported for any number of rows"):
        fixed.save_average(averaged(fixed, turns), file, X[:3])
    squares = ep.transforms.from_functions(
        lambda rng: rng.normal(size=1),
        lambda angle, row: row + angle * row**2,
        identity=np.zeros(1),
    )
    with refuses("the graph differs from the average"):
        predict.save_average(averaged(predict, squares), file, X[:3])
    assert not file.exists()


def test_a_model_gives_the_same_table_through_jax_and_onnx(tmp_path):
    reference = table_of(network)
    path = tmp_path / "network.onnx"
    path.write_bytes(onnx_network())
    table = table_of(ep.adapters.from_onnx(path))
    assert (reference.backend, table.backend) == ("jax", "python")
    assert_same_table(table, reference)
    # Numbers are cast to the file's dtype, and its one input may be named.
    assert_same_table(table_of(ep.adapters.from_onnx(str(path)), X.astype(np.float64)), reference)
    named = ep.transforms.rotations3d(acts_on={"x": "vectors"})
    assert_same_table(table_of(ep.adapters.from_onnx(path), {"x": X}, named), reference)


def test_a_file_for_a_fixed_number_of_rows_is_run_in_pieces():
    fixed = ep.adapters.from_onnx(onnx_network(rows=7))
    np.testing.assert_allclose(fixed(X), network(X), rtol=1e-5, atol=1e-6)
    assert_same_table(table_of(fixed), table_of(network))


def test_rows_are_flattened_for_a_file_that_takes_vectors():
    predict = ep.adapters.from_onnx(onnx_network())
    np.testing.assert_array_equal(predict(X[:, None, :]), predict(X))
    with pytest.raises(ValueError, match=r"shape \('row', 3\), rows first, got \(3,\)"):
        predict(X[0])


def test_outputs_of_a_file_are_chosen_by_name():
    both = onnx_network(names=("a", "b"))
    assert list(ep.adapters.from_onnx(both)(X)) == ["a", "b"]
    assert ep.adapters.from_onnx(both, outputs="b")(X).shape == (40, 2)
    with pytest.raises(ValueError, match=r"asks for \['c'\], but the model has \['a', 'b'\]"):
        ep.adapters.from_onnx(both, outputs=["a", "c"])
    with pytest.raises(ValueError, match=r"inputs \['x'\], and x the leaves \['z'\]"):
        ep.adapters.from_onnx(both)({"z": X})


def one_node(operation, takes, returns, inputs=("x",), **attributes):
    """Return the bytes of a model of one node; shapes of what it takes and returns may be None."""
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32), "weights")
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(operation, list(inputs), ["output"], **attributes)],
        "one node",
        [info("x", TensorProto.FLOAT, takes)] if "x" in inputs else [],
        [info("output", TensorProto.FLOAT, returns)],
        [weights] if "weights" in inputs else [],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


@pytest.mark.parametrize("shape", [None, [None, None], ["a", "b"], [-1, 3], [7, 3]], ids=str)
def test_a_file_need_not_say_what_shapes_it_takes(shape):
    linear = ep.adapters.from_onnx(one_node("MatMul", shape, shape, ("x", "weights")))
    assert_same_table(table_of(linear), table_of(lambda x: x @ np.eye(3, dtype=np.float32)))


@pytest.mark.parametrize("takes", [None, ["row", 3], [7, 3]], ids=str)
@pytest.mark.parametrize("returns", [None, []], ids=["not said", "one number"])
def test_one_number_for_all_rows_is_refused(takes, returns):
    total = ep.adapters.from_onnx(one_node("ReduceSum", takes, returns, keepdims=0))
    with pytest.raises(ValueError, match="'output' of the model is one number for all rows"):
        table_of(total)


def test_a_file_without_inputs_is_refused():
    with pytest.raises(ValueError, match="the model takes no inputs"):
        ep.adapters.from_onnx(one_node("Identity", None, [3, 3], ("weights",)))


# ---- scikit-learn -------------------------------------------------------------------------------


def test_sklearn_estimators_and_pipelines():
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labels = (X[:, 0] > 0).astype(int)
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, labels)
    predict = ep.adapters.from_sklearn(classifier)
    np.testing.assert_array_equal(predict(X), classifier.predict_proba(X))
    table = table_of(predict, y=labels)
    assert table.backend == "python"
    assert table.only.y.shape == (40, 2)
    # Rows of any shape are flattened.
    images = X.reshape(40, 1, 3)
    np.testing.assert_array_equal(predict(images), predict(X))
    ridge = Ridge().fit(X, X[:, 1])
    np.testing.assert_allclose(ep.adapters.from_sklearn(ridge)(X), ridge.predict(X))
    margin = ep.adapters.from_sklearn(classifier, method="decision_function")
    assert margin(X).shape == (40,)


def test_what_sklearn_cannot_do_is_said():
    from sklearn.exceptions import NotFittedError
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.svm import LinearSVC

    labels = (X[:, 0] > 0).astype(int)
    with pytest.raises(NotFittedError):
        ep.adapters.from_sklearn(Ridge())
    with pytest.raises(ValueError, match="labels have no distance"):
        ep.adapters.from_sklearn(LogisticRegression().fit(X, labels), method="predict")
    with pytest.raises(ValueError, match=r"LinearSVC has no predict_proba; pass one of .*decision"):
        ep.adapters.from_sklearn(LinearSVC().fit(X, labels))
    with pytest.raises(ValueError, match="method must be one of"):
        ep.adapters.from_sklearn(Ridge().fit(X, labels), method="transform")
    with pytest.raises(TypeError, match="got a dict with the leaves"):
        ep.adapters.from_sklearn(Ridge().fit(X, labels))({"a": X})


# ---- Equinox and Flax ---------------------------------------------------------------------------


def test_equinox_modules_are_put_into_inference_mode():
    equinox = pytest.importorskip("equinox")

    class Network(equinox.Module):
        dropout: equinox.nn.Dropout = equinox.nn.Dropout(0.9)

        def __call__(self, x):
            return self.dropout(network(x))

    predict = ep.adapters.from_equinox(Network())
    table = table_of(predict)
    assert table.backend == "jax"
    assert_same_table(table, table_of(network))
    batched = ep.adapters.from_equinox(Network(), takes_batches=True)
    assert_same_table(table_of(batched), table_of(network))
    with pytest.raises(TypeError, match="module must be callable"):
        ep.adapters.from_equinox(3)


def test_flax_modules_are_put_into_evaluation_mode_and_left_alone():
    nnx = pytest.importorskip("flax.nnx")

    class Network(nnx.Module):
        def __init__(self):
            self.last = nnx.Param(jnp.asarray(WEIGHTS[2]))
            self.dropout = nnx.Dropout(0.9, rngs=nnx.Rngs(0))

        def __call__(self, x):
            first, bias, _ = WEIGHTS
            return self.dropout(jnp.tanh(x @ first + bias) @ self.last[...])

    module = Network()
    table = table_of(ep.adapters.from_flax(module))
    assert table.backend == "jax"
    assert_same_table(table, table_of(network))
    assert not module.dropout.deterministic
    with pytest.raises(TypeError, match=r"must be a flax\.nnx\.Module"):
        ep.adapters.from_flax(network)


# ---- packages that are missing ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adapter", "package", "extra"),
    [
        ("from_onnx", "onnxruntime", "onnx"),
        ("from_equinox", "equinox", "equinox"),
        ("from_flax", "flax.nnx", "flax"),
        ("from_torch", "torch", "torch"),
    ],
)
def test_a_missing_package_is_an_error_that_names_the_extra(monkeypatch, adapter, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"{package} is not installed; .*equiprob\[{extra}\]"):
        getattr(ep.adapters, adapter)(jax.nn.relu)


# ---- models that are passed as they are ----------------------------------------------------------


def module_of(package, **methods):
    """Return an object whose class says that it comes from a package, without importing it."""
    return type("Network", (), {"__module__": f"{package}.modules"} | methods)()


CALLED = {"__call__": lambda self, x: x}


@pytest.mark.parametrize(
    ("model", "adapter"),
    [
        (module_of("sklearn"), "from_sklearn(estimator)"),
        ("network.onnx", "from_onnx(path)"),
        (module_of("torch", **CALLED), "from_torch(module.eval())"),
    ],
    ids=["scikit-learn", "ONNX", "PyTorch"],
)
def test_a_model_of_another_package_is_refused_by_the_name_of_its_adapter(model, adapter):
    turn = ep.transforms.rotations3d(acts_on="vectors")
    for call in (ep.evaluate_orbits, lambda *a: ep.audit(a[0], a[1], None, a[2])):
        with pytest.raises(TypeError) as caught:
            call(model, X, turn)
        assert adapter in str(caught.value)
    assert len(ep.evaluate_orbits(module_of("mine", **CALLED), X, turn)) == len(X)


def test_an_estimator_that_is_also_a_function_is_one():
    from sklearn.linear_model import Ridge

    class Callable(Ridge):
        def __call__(self, x):
            return self.predict(x)

    model = Callable().fit(X, X[:, 0])
    assert_same_table(table_of(model), table_of(ep.adapters.from_sklearn(model)))
