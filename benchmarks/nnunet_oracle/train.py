"""Train tiny nnU-Nets with nnU-Net itself and store what its predictor says about held-out scans.

Runs in an environment with `nnunetv2`, see README.md. Every network is trained for about a minute on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from scans import Kind, write

_WORKERS = "nnUNet_n_proc_DA"

CT = Kind(((-1000, 30, 120, 220, 420),), (25,), (30, 60, 72), (2.4, 1.1, 1.3))
MR = Kind(((0, 300, 300, 620, 620), (0, 250, 520, 250, 520)), (25, 20), (14, 64, 76), (6.0, 0.9, 1.0))
CORONAL = Kind(((-1000, 30, 120, 220, 420),), (25,), (52, 14, 60), (1.2, 6.0, 1.1))
SMALL = Kind(((-1000, 30, 170, 340),), (20,), (20, 40, 46), (3.6, 1.6, 1.8))


@dataclass(frozen=True)
class Run:
    """One configuration to train: its folds, and how many iterations."""

    configuration: str
    folds: tuple[int | str, ...]
    trainer: str = "nnUNetTrainer"
    iterations: int = 1200


@dataclass(frozen=True)
class Task:
    """One data set, and how nnU-Net's plans for it are made small."""

    number: int
    name: str
    kind: Kind
    labels: dict[str, Any]
    channel_names: dict[str, str]
    runs: tuple[Run, ...]
    changes: dict[str, dict[str, Any]]
    dataset: dict[str, Any] = field(default_factory=dict)
    cases: int = 8
    held_out: int = 2

    @property
    def folder(self) -> str:
        """What nnU-Net calls it."""
        return f"Dataset{self.number:03d}_{self.name}"


def _unet(
    features: tuple[int, ...], strides: tuple[tuple[int, ...], ...], convs: int = 2, **more: Any
) -> dict[str, Any]:
    kernels = [[3] * len(stride) for stride in strides]
    plain = {
        "n_stages": len(features),
        "features_per_stage": list(features),
        "kernel_sizes": kernels,
        "strides": [list(stride) for stride in strides],
        "n_conv_per_stage": [convs] * len(features),
        "n_conv_per_stage_decoder": [convs] * (len(features) - 1),
    }
    return plain | more


_ISO = ((1, 1, 1), (2, 2, 2), (2, 2, 2))
_FLAT = ((1, 1, 1), (1, 2, 2), (2, 2, 2))
_FOUR = {"background": 0, "liver": 1, "spleen": 2, "bone": 3}

TASKS = (
    Task(
        901,
        "TinyCT",
        CT,
        _FOUR,
        {"0": "CT"},
        (
            Run("3d_fullres", (0, 1)),
            Run("2d", (0,)),
            Run("3d_lowres", ("all",)),
            Run("3d_cascade_fullres", ("all",)),
        ),
        {
            "3d_fullres": {"patch_size": [16, 40, 48], "arch": _unet((8, 16, 24), _FLAT)},
            "2d": {"patch_size": [48, 56], "batch_size": 8, "arch": _unet((8, 16, 32), ((1, 1), (2, 2), (2, 2)))},
            "3d_lowres": {
                "inherits": "3d_fullres",
                "spacing": [3.2, 2.0, 2.2],
                "patch_size": [16, 24, 32],
                "next_stage": "3d_cascade_fullres",
                "arch": _unet((8, 16, 24), _ISO),
            },
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
    ),
    Task(
        902,
        "TinyMR",
        MR,
        {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3},
        {"0": "T1", "1": "FLAIR"},
        (Run("3d_fullres", (0,)),),
        {
            "3d_fullres": {
                "patch_size": [8, 48, 56],
                "network": "ResidualEncoderUNet",
                "arch": _unet((8, 16, 24), ((1, 1, 1), (1, 2, 2), (2, 2, 2)), 1, n_blocks_per_stage=[1, 2, 2]),
            },
        },
        {"regions_class_order": [1, 2, 3]},
    ),
    Task(
        903,
        "TinyCoronal",
        CORONAL,
        _FOUR,
        {"0": "CT"},
        (Run("3d_fullres", (0,), "nnUNetTrainerNoMirroring"),),
        {"3d_fullres": {"patch_size": [8, 40, 48], "arch": _unet((8, 16, 24), ((1, 1, 1), (1, 2, 2), (2, 2, 2)))}},
        {"overwrite_image_reader_writer": "NibabelIOWithReorient"},
    ),
)

FIXTURE = Task(
    904,
    "Fixture",
    SMALL,
    {"background": 0, "liver": 1, "spleen": 2},
    {"0": "CT"},
    (
        Run("3d_fullres", (0, 1), iterations=900),
        Run("3d_lowres", ("all",), iterations=900),
        Run("3d_cascade_fullres", ("all",), iterations=900),
    ),
    {
        "3d_fullres": {"patch_size": [8, 24, 24], "arch": _unet((4, 8, 12), _FLAT, 1)},
        "3d_lowres": {
            "inherits": "3d_fullres",
            "spacing": [4.5, 2.6, 2.8],
            "patch_size": [8, 16, 16],
            "next_stage": "3d_cascade_fullres",
            "arch": _unet((4, 8, 12), _FLAT, 1),
        },
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
    },
    held_out=1,
)


def prepare(task: Task, work: Path) -> None:
    """Draw the scans, let nnU-Net plan, make the plans small, preprocess."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

    raw = work / "raw" / task.folder
    for number in range(task.cases):
        write(task.kind, raw / "imagesTr", f"case_{number:03d}", 100 * task.number + number, raw / "labelsTr")
    for number in range(task.held_out):
        seed = 100 * task.number + 50 + number
        write(task.kind, raw / "imagesTs", f"held_{number:03d}", seed, raw / "labelsTs")
    described = {
        "channel_names": task.channel_names,
        "labels": task.labels,
        "numTraining": task.cases,
        "file_ending": ".nii.gz",
        "name": task.name,
        **task.dataset,
    }
    (raw / "dataset.json").write_text(json.dumps(described, indent=1))
    extract_fingerprints([task.number], num_processes=1, check_dataset_integrity=False, show_progress_bar=False)
    os.environ[_WORKERS] = "1"  # the planner takes it for a number of threads
    planner = "nnUNetPlannerResEncM" if any("network" in c for c in task.changes.values()) else "ExperimentPlanner"
    plan_experiments([task.number], planner, overwrite_plans_name="nnUNetPlans")
    path = work / "preprocessed" / task.folder / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    for name, change in task.changes.items():
        plans["configurations"][name] = _changed(plans["configurations"], name, dict(change))
    path.write_text(json.dumps(plans, indent=1))
    os.environ[_WORKERS] = "0"  # augmentation in this process
    wanted = [run.configuration for run in task.runs if "cascade" not in run.configuration]
    preprocess([task.number], "nnUNetPlans", wanted, num_processes=[1] * len(wanted), show_progress_bar=False)


def _changed(configurations: dict[str, Any], name: str, change: dict[str, Any]) -> dict[str, Any]:
    if "inherits_from" in change:
        return change
    arch, parent = change.pop("arch"), change.pop("inherits", name)
    network = change.pop("network", None)
    made = json.loads(json.dumps(configurations[parent])) | {"data_identifier": f"nnUNetPlans_{name}", **change}
    arguments = made["architecture"]["arch_kwargs"]
    if network is not None:
        made["architecture"]["network_class_name"] = f"dynamic_network_architectures.architectures.unet.{network}"
        arch.pop("n_conv_per_stage")
    arguments.update(arch)
    return made


def train(task: Task, run: Run) -> None:
    """Train one configuration with nnU-Net's own trainer, only shorter."""
    import torch
    from nnunetv2.run.run_training import get_trainer_from_args

    for fold in run.folds:
        clock = time.perf_counter()
        trainer = get_trainer_from_args(
            task.folder, run.configuration, fold, run.trainer, "nnUNetPlans", device=torch.device("cpu")
        )
        trainer.num_epochs = 10
        trainer.num_iterations_per_epoch = run.iterations // trainer.num_epochs
        trainer.num_val_iterations_per_epoch = 2
        trainer.plot_network_architecture = lambda: None
        trainer.run_training()
        trainer.perform_actual_validation()
        print(f"## {task.folder} {run.configuration} fold {fold}: {time.perf_counter() - clock:.0f} s", flush=True)


def predict(task: Task, run: Run, work: Path, reference: Path) -> None:
    """Store nnU-Net's own predictions for the held-out scans, with and without mirroring."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    raw, kept = work / "raw" / task.folder, reference / task.folder
    shutil.copytree(raw / "imagesTs", kept / "images", dirs_exist_ok=True)
    shutil.copytree(raw / "labelsTs", kept / "truth", dirs_exist_ok=True)
    model = work / "results" / task.folder / f"{run.trainer}__nnUNetPlans__{run.configuration}"
    names = sorted({path.name[: -len("_0000.nii.gz")] for path in (raw / "imagesTs").glob("*.nii.gz")})
    files = [[str(path) for path in sorted((raw / "imagesTs").glob(f"{name}_*.nii.gz"))] for name in names]
    choices = [(run.folds, True, "half"), (run.folds, False, "half"), (run.folds, True, "float32")]
    choices += [((fold,), True, "half") for fold in run.folds if len(run.folds) > 1]
    for folds, mirroring, sums in choices:
        # nnU-Net adds patches up in float16; what of a difference is due to that shows with float32.
        torch.half = getattr(torch, sums)
        predictor = nnUNetPredictor(use_mirroring=mirroring, device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(model), folds)
        rest = ("" if mirroring else "_nomirror") + ("" if sums == "half" else "_float32")
        target = kept / run.configuration / ("-".join(str(fold) for fold in folds) + rest)
        target.mkdir(parents=True, exist_ok=True)
        previous = str(kept / "3d_lowres" / f"all{rest}") if "cascade" in run.configuration else None
        clock = time.perf_counter()
        predictor.predict_from_files_sequential(
            files, [str(target / name) for name in names], folder_with_segs_from_prev_stage=previous
        )
        print(f"## predicted {task.folder} {run.configuration} {target.name}: {time.perf_counter() - clock:.1f} s")
    torch.half = torch.float16


def slim(results: Path) -> None:
    """Remove what inference does not need: logs, validation results, the second checkpoint, the optimizer's state."""
    import torch

    for path in results.rglob("*"):
        if path.is_dir() and path.name in ("validation", "predicted_next_stage"):
            shutil.rmtree(path)
        elif path.is_file() and path.name not in ("plans.json", "dataset.json", "checkpoint_final.pth"):
            path.unlink()
    for path in results.rglob("checkpoint_final.pth"):
        checkpoint = torch.load(path, weights_only=False)
        checkpoint["optimizer_state"] = None
        torch.save(checkpoint, path)


def keep(task: Task, work: Path, reference: Path, target: Path) -> None:
    """Copy what the tests need: the models as trained, the scans, and nnU-Net's labels."""
    shutil.copytree(work / "results" / task.folder, target / task.folder, dirs_exist_ok=True)
    kept = reference / task.folder
    shutil.copytree(kept / "images", target / "images", dirs_exist_ok=True)
    shutil.copytree(kept / "truth", target / "truth", dirs_exist_ok=True)
    for path in kept.glob("*/*/*.nii.gz"):
        place = target / "reference" / path.parent.parent.name / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)


def main() -> None:
    """Do all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--only", help="part of a data set's name; 'fixture' for the one the tests use")
    parser.add_argument("--keep", type=Path, help="folder for what the tests need")
    arguments = parser.parse_args()
    work = arguments.models.resolve()
    for name in ("raw", "preprocessed", "results"):
        (work / name).mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(work / name)
    os.environ.update({_WORKERS: "0", "nnUNet_def_n_proc": "1", "nnUNet_compile": "0"})
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)  # small patches: a second thread only waits
    wanted = (arguments.only or "").lower()
    for task in (*TASKS, FIXTURE):
        if wanted in task.name.lower() and (wanted or task is not FIXTURE):
            prepare(task, work)
            for run in task.runs:
                train(task, run)
                predict(task, run, work, arguments.reference.resolve())
            slim(work / "results" / task.folder)
            if arguments.keep is not None:
                keep(task, work, arguments.reference.resolve(), arguments.keep.resolve())


if __name__ == "__main__":
    main()
