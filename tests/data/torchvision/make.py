"""Makes ``answers.json``: what torchvision's own networks say, and the names and shapes of their weights.

Run once with torchvision beside torch, in an environment of its own: ``python tests/data/torchvision/make.py``. Where
the two were not built for each other, `torch.library.register_fake` has to be kept from failing first. The weights are
drawn by name (`weights_for`), so that the same numbers are there without a file of them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "helpers"))

NETWORKS = ("resnet18", "resnet34", "resnet50", "densenet121", "densenet161")


def main() -> None:
    import torch
    import torchvision

    from named_weights import given, listed, weights_for

    made = {}
    for name in NETWORKS:
        network = getattr(torchvision.models, name)(weights=None, num_classes=4).eval()
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        network.load_state_dict(weights_for(shapes))
        with torch.inference_mode():
            answer = network(given())[0].tolist()
        made[name] = {"weights": hashlib.sha256(listed(shapes).encode()).hexdigest(), "answer": answer}
    told = {"torchvision": torchvision.__version__, "torch": torch.__version__, "networks": made}
    Path(__file__).with_name("answers.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
