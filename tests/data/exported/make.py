"""Make the files beside this one, in an environment of its own: pip install skl2onnx scikit-learn onnxscript torch.

Networks written as ONNX by scikit-learn (skl2onnx) and by PyTorch, of seeded weights, and what they say of `IMAGE`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
#: What both are shown: 5 x 6 x 7 voxels.
IMAGE = np.sin(np.arange(210)).astype(np.float32).reshape(5, 6, 7)


def main() -> None:
    """Write both files and their answers."""
    import torch
    from skl2onnx import to_onnx
    from sklearn.neural_network import MLPRegressor

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, IMAGE.size)).astype(np.float32)
    regressor = MLPRegressor(hidden_layer_sizes=(4,), max_iter=100, random_state=0).fit(rows, 10 + 3 * rows[:, 0])
    written = to_onnx(regressor, rows[:1], target_opset={"": 17, "ai.onnx.ml": 3})
    (FOLDER / "scikit-learn.onnx").write_bytes(written.SerializeToString())
    answers = {"scikit-learn": float(regressor.predict(IMAGE.reshape(1, -1))[0])} | _classifiers(rows)
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool3d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 3),
    ).eval()
    given = torch.from_numpy(IMAGE)[None, None]
    torch.onnx.export(network, (given,), str(FOLDER / "torch.onnx"), external_data=False, dynamo=True)
    _without_places(FOLDER / "torch.onnx")
    with torch.inference_mode():
        answers["torch"] = network(given)[0].tolist()
    (FOLDER / "answers.json").write_text(json.dumps(answers, indent=2) + "\n")


def _classifiers(rows: np.ndarray) -> dict[str, list[float]]:
    """Write what only scikit-learn has: trees, and a linear model whose probabilities are in a mapping of classes."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    classes = np.array(["benign", "malignant", "normal"])[np.digitize(rows[:, 0], [-0.5, 0.5])]
    forest = RandomForestClassifier(n_estimators=5, max_depth=3, random_state=0).fit(rows, classes)
    linear = LogisticRegression(C=0.01).fit(rows, classes)
    answers = {}
    for name, made, options in (("forest", forest, {"zipmap": False}), ("linear", linear, {})):
        written = to_onnx(made, rows[:1], options={id(made): options}, target_opset={"": 17, "ai.onnx.ml": 3})
        (FOLDER / f"{name}.onnx").write_bytes(written.SerializeToString())
        answers[name] = made.predict_proba(IMAGE.reshape(1, -1))[0].tolist()
    return answers


def _without_places(path: Path) -> None:
    """Take out where on this computer each layer was made."""
    import onnx

    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.input, *model.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    for value in (*model.graph.value_info, *model.graph.initializer):
        value.ClearField("doc_string")
        value.ClearField("metadata_props")
    onnx.save(model, path)


if __name__ == "__main__":
    main()
