"""Small ONNX files for tests."""

import numpy as np


def linear_file(path, weights):
    """Write the model ``x @ weights`` for rows of any number, and return the path."""
    from onnx import TensorProto, helper, numpy_helper

    n_in, n_out = weights.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["output"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["row", n_in])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["row", n_out])],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path
