"""The models that are timed, and the inputs they are timed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import equiprob as ep
from equiprob.adapters import from_onnx, from_sklearn

Predict = Callable[[Any], Any]


@dataclass(frozen=True)
class Timed:
    """A model, its inputs and its symmetry.

    Args:
        name: For the table.
        predict: The model.
        x: All inputs.
        transform: The transform.
        backend: That of the pass.
        batch: Rows in each call.
        moved: In NumPy, a batch and an output turned by an angle; for models that are not JAX.
    """

    name: str
    predict: Predict
    x: np.ndarray
    transform: Any
    backend: str = "jax"
    batch: int = 128
    moved: tuple[Callable[..., Any], Callable[..., Any]] | None = None


def weights(*shape: int, xp: Any = jnp) -> Any:
    scale = np.sqrt(2 / np.prod(shape[:-1]))
    return xp.float32(np.random.default_rng(sum(shape)).normal(size=shape) * scale)


def convolved(x: jax.Array, kernel: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)


def classifier() -> Predict:
    first, second, last = weights(3, 3, 1, 16), weights(3, 3, 16, 32), weights(32 * 49, 10)

    def predict(images: jax.Array) -> jax.Array:
        hidden = images[..., None]
        for kernel in (first, second):
            hidden = jax.nn.relu(convolved(hidden, kernel))
            hidden = hidden.reshape(len(hidden), hidden.shape[1] // 2, 2, -1, 2, kernel.shape[-1])
            hidden = hidden.max(axis=(2, 4))
        return jax.nn.softmax(hidden.reshape(len(hidden), -1) @ last)

    return predict


def image_to_image() -> Predict:
    first, second, last = weights(3, 3, 1, 16), weights(3, 3, 16, 16), weights(3, 3, 16, 1)

    def predict(images: jax.Array) -> jax.Array:
        hidden = jax.nn.relu(convolved(images[..., None], first))
        return convolved(jax.nn.relu(convolved(hidden, second)), last)[..., 0]

    return predict


def cloud_network() -> Predict:
    """Spherical harmonics of neighbours and their invariant products, and a term that is not."""
    import e3nn_jax as e3nn

    centres = jnp.linspace(0.5, 3.0, 8)
    first, last, broken = weights(24 * 8, 32), weights(32, 4), 0.1 * weights(3, 4)

    def one(points: jax.Array) -> jax.Array:
        apart = points[:, None] - points[None]
        distance = jnp.sqrt((apart**2).sum(axis=-1) + 1e-6)
        others = 1.0 - jnp.eye(len(points))
        near = jnp.exp(-((distance[..., None] - centres) ** 2)) * others[..., None]
        scalars = []
        for degree, parity in enumerate("eoe"):
            harmonic = e3nn.spherical_harmonics(
                f"1x{degree}{parity}", apart + jnp.eye(len(points))[..., None], normalize=True
            )
            summed = jnp.einsum("ijc,ijm->icm", near, harmonic.array)
            feature = e3nn.IrrepsArray(f"8x{degree}{parity}", summed.reshape(len(points), -1))
            scalars.append(e3nn.tensor_product(feature, feature, filter_ir_out=["0e"]).array)
        hidden = jnp.concatenate(scalars, axis=-1)
        return (jnp.tanh(hidden @ first) @ last).sum(axis=0) + jnp.tanh(points @ broken).sum(axis=0)

    return jax.vmap(one)


def perceptron(xp: Any, width: int = 256) -> Predict:
    shapes = ((32, width), (width, width), (width, 2))
    first, second, last = (weights(*shape, xp=xp) for shape in shapes)

    def predict(points: Any) -> Any:
        hidden = xp.tanh(points.reshape(len(points), -1) @ first)
        return xp.tanh(hidden @ second) @ last

    return predict


def fitted_forest(points: np.ndarray) -> Predict:
    from sklearn.ensemble import RandomForestClassifier

    flat = points.reshape(len(points), -1)
    labels = (flat[:, ::2] ** 2 > flat[:, 1::2] ** 2).sum(axis=1) > 8
    model = RandomForestClassifier(50, max_depth=8, random_state=0).fit(flat[:1000], labels[:1000])
    predict = from_sklearn(model)
    return lambda batch: predict(batch.reshape(len(batch), -1))


def onnx_perceptron(width: int = 512) -> Predict:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    shapes = {"first": (32, width), "second": (width, width), "last": (width, 2)}
    nodes, before = [], "flat"
    for name in shapes:
        nodes.append(helper.make_node("MatMul", [before, name], [f"{name}_sum"]))
        after = "output" if name == "last" else f"{name}_value"
        nodes.append(helper.make_node("Tanh", [f"{name}_sum"], [after]))
        before = after
    flat = helper.make_node("Flatten", ["x"], ["flat"])
    graph = helper.make_graph(
        [flat, *nodes],
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["row", 16, 2])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["row", 2])],
        [numpy_helper.from_array(weights(*s, xp=np), name) for name, s in shapes.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=9)
    # One thread, as all others: its workers wait in a loop that counts as processor time.
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    content, providers = made.SerializeToString(), ["CPUExecutionProvider"]
    return from_onnx(onnxruntime.InferenceSession(content, options, providers=providers))


def matrix(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]], dtype=np.float32)


def timed_models(rows: int) -> list[Timed]:
    generator = np.random.default_rng(0)
    images = generator.random((rows, 28, 28), dtype=np.float32)
    clouds = generator.normal(size=(rows, 16, 3)).astype(np.float32)
    many = generator.normal(size=(4 * rows, 16, 2)).astype(np.float32)
    turn = ep.transforms.rotations2d
    vectors = turn(acts_on="points", output_action="vectors")
    there = lambda x, a: x @ matrix(a).T  # noqa: E731
    both, alone = (there, lambda y, a: y @ matrix(a)), (there, lambda y, a: y)
    plain: dict[str, Any] = {"backend": "python", "batch": 512}
    return [
        Timed("28 x 28 CNN", classifier(), images, turn()),
        Timed("28 x 28 image to image", image_to_image(), images, turn(output_action="image")),
        Timed("SO(3) cloud, e3nn-jax", cloud_network(), clouds, ep.transforms.rotations3d()),
        Timed("MLP on 16 points, JAX", perceptron(jnp), many, vectors),
        Timed("MLP 256, NumPy", perceptron(np), many, vectors, moved=both, **plain),
        Timed("MLP 512, NumPy", perceptron(np, 512), many, vectors, moved=both, **plain),
        Timed(
            "random forest, scikit-learn",
            fitted_forest(many),
            many,
            turn(acts_on="points"),
            moved=alone,
            **plain,
        ),
        Timed("MLP 512, ONNX", onnx_perceptron(), many, vectors, moved=both, **plain),
    ]
