"""PyTorch modules as callables; `make test-torch` installs PyTorch and runs these."""

import jax.numpy as jnp
import numpy as np
import pytest
from test_adapters import WEIGHTS, X, assert_same_table, network, onnx_network, table_of

import equiprob as ep

torch = pytest.importorskip("torch")


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = torch.nn.ParameterList([torch.tensor(w) for w in WEIGHTS])
        self.dropout = torch.nn.Dropout(0.9)

    def forward(self, x):
        first, bias, last = self.weights
        assert not x.requires_grad
        assert x.dtype == first.dtype
        output = self.dropout(torch.tanh(x @ first + bias) @ last)
        assert not output.requires_grad
        return output


def test_a_model_gives_the_same_table_through_jax_onnx_and_torch():
    table = table_of(ep.adapters.from_torch(Network().eval()))
    assert table.backend == "python"
    assert_same_table(table, table_of(network))
    assert_same_table(table, table_of(ep.adapters.from_onnx(onnx_network())))
    assert_same_table(table_of(ep.adapters.from_torch(Network().eval()), jnp.asarray(X)), table)


def test_modules_in_training_mode_are_refused():
    module = Network()
    with pytest.raises(ValueError, match=r"the module is in training mode .*module.eval\(\) first"):
        ep.adapters.from_torch(module)
    predict = ep.adapters.from_torch(module.eval())
    module.dropout.train()
    with pytest.raises(ValueError, match="dropout is in training mode"):
        predict(X)
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module"):
        ep.adapters.from_torch(network)


def test_batches_go_to_the_dtype_of_the_module():
    double = ep.adapters.from_torch(Network().eval().double())
    assert double(X).dtype == np.float64
    half = ep.adapters.from_torch(Network().eval().to(torch.bfloat16))
    assert half(X).dtype == np.float32
    np.testing.assert_allclose(half(X), network(X), atol=0.1)
    frozen = X.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(double(frozen), double(X))


@pytest.mark.filterwarnings("error")
def test_a_module_may_work_in_place_on_its_own_copy():
    module = torch.nn.Sequential(torch.nn.ReLU(inplace=True), Network()).eval()
    for x in (X.copy(), jnp.asarray(X)):
        frozen = np.array(x)
        table = table_of(ep.adapters.from_torch(module), x)
        np.testing.assert_array_equal(x, frozen)
        assert_same_table(table, table_of(lambda rows: network(jnp.maximum(rows, 0))))


class Springs(torch.nn.Module):
    """Energy and forces by automatic differentiation; the input holds integers, too."""

    def forward(self, batch):
        at = batch["at"].requires_grad_()
        assert batch["kind"].dtype == torch.int64
        energy = ((at - at.mean(dim=1, keepdim=True)) ** 2).sum(dim=(1, 2))
        (slope,) = torch.autograd.grad(energy.sum(), at)
        return {"energy": energy, "forces": -slope}


def test_modules_that_differentiate():
    x = {"at": X.reshape(10, 4, 3), "kind": np.zeros((10, 4), dtype=np.int64)}
    turn = ep.transforms.rotations3d(
        acts_on={"at": "points", "kind": "invariant"},
        output_action={"energy": "invariant", "forces": "vectors"},
    )
    predict = ep.adapters.from_torch(Springs().eval(), gradients=True)
    table = table_of(predict, x, turn)
    assert table.outputs == ("energy", "forces")
    for name in table.outputs:
        assert ep.ModelEquivarianceError(n_draws=100).fit(table[name]).is_exact


def test_how_a_module_is_called_can_be_said():
    images = np.random.default_rng(0).random((4, 5, 6, 3)).astype(np.float32)
    layer = torch.nn.Conv2d(3, 2, 3).eval()
    predict = ep.adapters.from_torch(
        layer, call=lambda module, batch: module(batch.permute(0, 3, 1, 2)).mean(dim=(2, 3))
    )
    assert predict(images).shape == (4, 2)


@pytest.mark.parametrize("device", [-1, 2**70, "word", 1.5])
def test_devices_and_dtypes_are_refused_by_name(device):
    module = torch.nn.Linear(2, 2).eval()
    with pytest.raises(ValueError, match=r"device must be a torch\.device or the name of one"):
        ep.adapters.from_torch(module, device=device)
    with pytest.raises(TypeError, match=r"dtype must be a torch\.dtype"):
        ep.adapters.from_torch(module, dtype="float32")
    assert ep.adapters.from_torch(module, device="cpu", dtype=torch.float32)(X[:, :2]).shape[1] == 2
