"""``radcnn measure`` and ``radcnn run --measure``."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import highdicom
import numpy as np
import pytest

import napari_radcnn as radcnn
from dciodvfy import errors_in
from dicom_factory import write_dicom_series
from model_factory import unet, write_bundle
from napari_radcnn.cli import main
from napari_radcnn.io.dicom_results import read_ruler_report
from napari_radcnn.measure import Ruler, segments, write_rulers
from napari_radcnn.phantom import world_field
from napari_radcnn.results import LabelMap
from napari_radcnn.volume import Label
from solids import center_of, ellipsoid, grids

GRID = grids()["oblique"]
FIXED = ["label", "name", "voxels", "volume_ml", "mean", "sd", "min", "median", "max", "longest_diameter_mm"]


@pytest.fixture
def study(tmp_path):
    """A CT series and labels on it."""
    scan = world_field(GRID)
    scan = scan.with_array(np.round(scan.array).astype(np.int16), units="HU")
    write_dicom_series(tmp_path / "ct", scan, modality="CT")
    array = ellipsoid(GRID, (22.0, 15.0, 12.0), np.eye(3)).astype(np.uint8) * 3
    array[2:5, 3:9, 4:12] = 7
    (read,) = radcnn.read(tmp_path / "ct")
    found = LabelMap(array, read.geometry, {3: Label("liver"), 7: Label("spleen"), 9: Label("absent")}, "labels")
    radcnn.write(found, tmp_path / "labels.nii.gz")
    radcnn.write(found, tmp_path / "labels.seg.dcm", reference=tmp_path / "ct")
    return tmp_path


def test_table_as_json_and_csv(study, capsys):
    words = ["measure", str(study / "labels.seg.dcm"), "--image", str(study / "ct")]
    assert main([*words, "-o", str(study / "t.json")]) == 0
    assert main([*words, "-o", str(study / "t.csv")]) == 0
    table = json.loads((study / "t.json").read_text())
    assert table["unit"] == "HU"
    assert [(row["label"], row["name"]) for row in table["labels"]] == [(3, "liver"), (7, "spleen")]
    assert list(table["labels"][0])[: len(FIXED)] == FIXED
    (scan,), (labels,) = radcnn.read(study / "ct"), radcnn.read(study / "labels.seg.dcm")
    assert table["labels"] == segments(labels, scan)["labels"]
    inside = scan.array[labels.array == 3].astype(float)
    assert table["labels"][0]["mean"] == pytest.approx(inside.mean())
    with (study / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean"]) for row in rows] == [row["mean"] for row in table["labels"]]
    assert [row["unit"] for row in rows] == ["HU", "HU"]
    capsys.readouterr()
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "liver" in printed
    assert "unit of the values: HU" in printed


def test_report(study, capsys):
    target = study / "t.sr.dcm"
    words = ["measure", str(study / "labels.seg.dcm"), "--image", str(study / "ct"), "-o", str(target)]
    assert main(words) == 0
    assert errors_in(target) == set()
    (scan,), (labels,) = radcnn.read(study / "ct"), radcnn.read(study / "labels.seg.dcm")
    rows = segments(labels, scan)["labels"]
    report = highdicom.sr.srread(target)
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(rows) == 2
    for row, finding, group in zip(rows, radcnn.read_report(target).findings, groups, strict=True):
        assert finding.label == row["name"]
        ours = {(one.name, one.derivation): (one.value, one.unit) for one in finding.measurements}
        assert ours["Attenuation Coefficient", "Mean"] == (pytest.approx(row["mean"]), "[hnsf'U]")
        assert ours["Attenuation Coefficient", "Standard Deviation"][0] == pytest.approx(row["sd"])
        assert ours["Volume", ""] == (pytest.approx(row["volume_ml"] * 1000), "mm3")
        assert ours["Length", ""][0] == pytest.approx(row["longest_diameter_mm"])
        theirs = [one.value for one in group.get_measurements()]
        assert theirs == [one.value for one in finding.measurements]


def test_what_cannot_be_measured_is_one_line_and_no_file(study, capsys):
    labels, target = str(study / "labels.nii.gz"), study / "t.json"
    for words, status, message in (
        ([labels, "--suv", "-o", str(target)], 2, "--suv needs the PET"),
        ([labels, "--image", str(study / "ct"), "--suv", "-o", str(target)], 2, "SUV is not available"),
        ([labels, "-o", str(study / "t.xlsx")], 3, "is written as .csv, .json, .sr.dcm"),
        ([labels, "-o", labels], 3, "is written as"),
        ([str(study / "none.nii.gz"), "-o", str(target)], 3, "none.nii.gz"),
    ):
        assert main(["measure", *words]) == status
        assert message in capsys.readouterr().err
    assert not target.exists()
    target.write_text("mine")
    assert main(["measure", labels, "-o", str(target)]) == 3
    assert "already exists" in capsys.readouterr().err
    assert target.read_text() == "mine"


def test_a_run_measures_what_it_found(tmp_path, capsys):
    bundle = str(write_bundle(tmp_path / "bundle", unet(2)))
    scan = world_field(GRID)
    radcnn.write(scan.with_array(np.random.default_rng(0).normal(0, 300, scan.shape)), tmp_path / "ct.nii.gz")
    out, table = tmp_path / "organs.nii.gz", tmp_path / "organs.csv"
    words = ["run", bundle, str(tmp_path / "ct.nii.gz"), "-o", str(out), "--device", "cpu"]
    assert main([*words, "--measure", str(tmp_path / "organs.txt")]) == 3
    assert "is written as .csv, .json" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--measure", str(table)]) == 0
    printed = capsys.readouterr().out
    assert f"written: {table}" in printed
    again = tmp_path / "again.csv"
    assert main(["measure", str(out), "--image", str(tmp_path / "ct.nii.gz"), "-o", str(again)]) == 0
    first, second = (list(csv.DictReader(path.open())) for path in (table, again))
    assert [row["name"] for row in first] == ["liver", "spleen"]
    for one, other in zip(first, second, strict=True):
        del one["name"], other["name"]  # NIfTI has no names
        assert one == other
    assert f"liver: {float(first[0]['volume_ml']):.1f} ml" in printed
    words = ["run", "nlm-denoise", *words[2:4], str(tmp_path / "d.nii.gz"), "--measure", str(tmp_path / "d.csv")]
    assert main(words) == 4
    assert "makes no labels" in capsys.readouterr().err


def test_a_pet_is_measured_in_one_unit(tmp_path, capsys):
    bundle, pet = str(write_bundle(tmp_path / "bundle", unet(2))), tmp_path / "pet.ome.zarr"
    field = world_field(GRID)
    scan = field.with_array(np.random.default_rng(0).normal(900, 300, field.shape).astype(np.float32))
    scan = replace(scan.with_metadata(modality="PT", units="Bq/ml"), suvbw_factor=0.004)
    radcnn.write(scan, pet)
    out, table = tmp_path / "organs.nii.gz", tmp_path / "organs.json"
    words = ["run", bundle, str(pet), "-o", str(out), "--device", "cpu", "--anyway", "--overwrite"]
    words += ["--measure", str(table)]
    found = {}
    for more, unit in (((), "Bq/ml"), (("--suv",), "SUVbw")):
        assert main([*words, *more]) == 0
        assert ("with --suv in SUV by body weight" in capsys.readouterr().err) == (not more)
        ran = json.loads(table.read_text())
        again = tmp_path / f"{unit[:2]}.json"
        assert main(["measure", str(out), "--image", str(pet), *more, "-o", str(again)]) == 0
        assert ("with --suv in SUV by body weight" in capsys.readouterr().err) == (not more)
        measured = json.loads(again.read_text())
        assert ran["unit"] == measured["unit"] == unit
        for one, other in zip(ran["labels"], measured["labels"], strict=True):
            for key, value in one.items():
                if key != "name":  # NIfTI has none, and its affine is of single precision
                    assert other[key] == pytest.approx(value, rel=1e-3, abs=1e-3), key
        found[unit] = ran["labels"]
    for one, other in zip(*found.values(), strict=True):
        assert other["mean"] == pytest.approx(0.004 * one["mean"])
        assert other["suv_peak"] == pytest.approx(0.004 * one["suv_peak"])
    # what cannot be is said before the run
    radcnn.write(scan.with_metadata(modality="MR", units=""), tmp_path / "mr.nii.gz")
    words = ["run", bundle, str(tmp_path / "mr.nii.gz"), "-o", str(tmp_path / "x.nii.gz"), "--anyway", "--suv"]
    for more, message in (([], "--measure TABLE"), (["--measure", str(tmp_path / "x.csv")], "SUV is not available")):
        assert main([*words, *more]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x.nii.gz").exists()
    assert not (tmp_path / "x.csv").exists()


def test_rulers(study, capsys):
    (scan,) = radcnn.read(study / "ct")
    x, y, z = (float(value) for value in center_of(GRID))
    rulers = [
        Ruler("sphere", ((x, y, z), (x, y, z + 9)), "ball"),
        Ruler("distance", ((x, y, z), (x, y, z + 20)), "liver 1", "2026-01", True),
        Ruler("distance", ((x, y, z), (x, y, z + 10)), "liver 1", "2026-02", True),
    ]
    write_rulers(rulers, study / "r.csv")
    words = ["measure", str(study / "r.csv"), "--image", str(study / "ct")]
    assert main(words) == 0
    found = rulers[0].measure(scan)
    printed = capsys.readouterr().out
    assert f"ball: 3.05 ml · {found['mean']:.4g} ± {found['sd']:.3g} HU" in printed
    assert "sum at 2026-02: 10.0 mm, -50 % from baseline PR" in printed
    assert main([*words, "-o", str(study / "r.sr.dcm")]) == 0
    assert main(["measure", str(study / "r.sr.dcm"), "--image", str(study / "ct"), "-o", str(study / "again.csv")]) == 0
    rows = list(csv.DictReader((study / "again.csv").open()))
    assert float(rows[0]["mean"]) == pytest.approx(found["mean"], abs=0.1)
    assert [row["length_mm"] for row in rows[1:]] == ["20.0", "10.0"]
    # drawn in another patient space: named, and not measured
    write_rulers([replace(rulers[0], frame_of_reference_uid="9.8.7")], study / "away.csv")
    capsys.readouterr()
    assert main(["measure", str(study / "away.csv"), "--image", str(study / "ct")]) == 0
    printed = capsys.readouterr()
    assert printed.out == "ball: 3.05 ml\n"
    assert "in another patient space" in printed.err
    # a report holds those of its study
    write_rulers([rulers[1], replace(rulers[0], frame_of_reference_uid="9.8.7")], study / "both.csv")
    capsys.readouterr()
    words = ["measure", str(study / "both.csv"), "--image", str(study / "ct"), "-o", str(study / "one.sr.dcm")]
    assert main(words) == 0
    assert "1 ruler of another patient space is not in the report" in capsys.readouterr().err
    assert [ruler.kind for ruler in read_ruler_report(study / "one.sr.dcm")] == ["distance"]
    for more, status in (([], 0), (["-o", str(study / "r.json")], 3), (["-o", str(study / "x.sr.dcm")], 2)):
        assert main(["measure", str(study / "r.csv"), *more]) == status
