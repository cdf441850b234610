"""The recipe of brain-structures: what teachers' names mean, what is shown to the network, and a run of a few steps."""

import json

import numpy as np
import pytest
import torch

from napari_radcnn.models.brain_structures.network import CLASSES, MULTIPLE, OUTSIDE, TISSUES, build_network
from napari_radcnn.training.brain_structures import held_out, recipe as brain_structures, teacher
from napari_radcnn.training.brain_structures.heads import Mapped
from napari_radcnn.training.brain_structures.samples import StructureSampler
from napari_radcnn.training.brains.cases import Anatomy

SHAPE = (60, 72, 64)
WHITE, CORTEX, THALAMUS = (CLASSES.index(name) for name in ("white matter", "cortex", "thalamus"))


@pytest.fixture(scope="module")
def head():
    """Shells of white matter and cortex around a thalamus, a ventricle beside it, and fluid around all."""
    index = np.indices(SHAPE, np.float32)
    radius = np.sqrt(sum((index[a] - SHAPE[a] / 2) ** 2 for a in range(3)))
    white, labels = np.clip(17.5 - radius, 0, 1), np.zeros(SHAPE, np.uint8)
    gray = np.clip(22.5 - radius, 0, 1) - white
    labels[radius < 22] = CORTEX
    labels[radius < 17] = WHITE
    nucleus = sum((index[a] - SHAPE[a] / 2 - (6, 0, 0)[a]) ** 2 for a in range(3)) < 25
    labels[nucleus] = THALAMUS
    white[nucleus], gray[nucleus] = 0, 1
    ventricle = sum((index[a] - SHAPE[a] / 2 + (5, 0, 0)[a]) ** 2 for a in range(3)) < 9
    white[ventricle], labels[ventricle] = 0, 0
    t1 = (0.3 + 0.3 * gray + 0.7 * white).astype(np.float32)
    part, whole = np.zeros(SHAPE, np.uint8), np.ones(SHAPE, bool)
    distance = np.clip(radius - 24, -30, 30).astype(np.float32)
    anatomy = Anatomy("mr_t1_fast", gray, white, distance, t1, whole, part, (0.3, 0.6, 1.0))
    certainty = np.where(labels == THALAMUS, 0.5, 1.0).astype(np.float16)
    return anatomy, Mapped(labels, certainty)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ctx-rh-insula", "cortex"),
        ("Left-Thalamus-Proper*", "thalamus"),
        ("Right-Inf-Lat-Vent", "inferior lateral ventricle"),
        ("CC_Anterior", "white matter"),
        ("VentralDC", "ventral diencephalon"),
        ("Hippocampus", "hippocampus"),
        ("CSF", "other"),
        ("BG", "other"),
    ],
)
def test_a_teachers_name_is_one_of_our_classes(name, wanted):
    assert CLASSES[teacher.class_of(name)] == wanted


def test_teachers_are_asked_with_air_beyond_a_cut_and_both_ways_around(monkeypatch, tmp_path):
    shown = []

    class Teacher:
        classes = ("Unknown", "Hippocampus", "Left-Amygdala", "Right-Amygdala")

        def __init__(self, folder, threads):
            self.folder = folder

        def logits(self, image):
            shown.append((self.folder.name, image.shape))
            logits = np.full((4, *image.shape), -9, np.float32)
            logits[0] = 0
            logits[1] = np.where(image > 0.5, 9, -9)  # bright: hippocampus
            logits[3] = np.where((image > 0.2) & (image <= 0.5), 9, -9)
            return logits

    monkeypatch.setattr(teacher, "MeshNet", Teacher)
    image = np.zeros((20, 30, 26), np.float32)
    image[3:9, 5:20, :12] = 1.0  # reaches the lower side
    image[12:15, 5:20, 8:14] = 0.35
    labels, certainty = teacher.ask(image, tmp_path)
    assert labels.shape == certainty.shape == image.shape
    assert np.array_equal(labels == CLASSES.index("hippocampus"), image == 1)
    assert np.array_equal(labels == CLASSES.index("amygdala"), image == np.float32(0.35))
    names = [name for name, _ in shown]
    assert names.count("model30chan18cls") == names.count("model18cls") == 2
    assert names.count("model21_104class") == 1
    assert {shape for _, shape in shown} == {(20, 26 + 32, 30)}  # to L, I, A; air below


def test_cubes_hold_tissue_and_structures_of_the_same_place(head):
    sampler = StructureSampler([head], [1.0], 32, 3)
    seen = set()
    for _ in range(20):
        picture, tissue, structures, counts = sampler.draw_structures()
        assert picture.shape == (1, 32, 32, 32)
        assert tissue.shape == structures.shape == counts.shape == (32, 32, 32)
        outside = picture[0] == OUTSIDE
        assert (structures[outside] == 0).all()
        assert (counts[outside] == 1).all()
        assert (tissue[structures == WHITE] != 1).float().mean() > 0.9 or not (structures == WHITE).any()
        assert (counts[structures == THALAMUS] < 1).all()
        seen |= set(structures.unique().tolist())
    assert seen == {0, WHITE, CORTEX, THALAMUS}


def test_a_voxel_that_does_not_count_does_not_matter_to_the_loss():
    logits = torch.randn(1, 3, 4, 5, 6, generator=torch.Generator().manual_seed(1))
    labels, counts = torch.zeros(1, 4, 5, 6, dtype=torch.int64), torch.ones(1, 4, 5, 6)
    labels[0, 1], counts[0, 2] = 2, 0
    first, _ = brain_structures.loss(logits, labels, counts)
    other = labels.clone()
    other[0, 2] = 1
    second, _ = brain_structures.loss(logits, other, counts)
    assert float(first) == pytest.approx(float(second))
    counts[0, 2] = 1
    assert float(brain_structures.loss(logits, other, counts)[0]) != pytest.approx(float(first))


def test_the_network_answers_tissues_and_structures_on_its_own_grid():
    network = build_network().eval()
    with torch.no_grad():
        answer = network(torch.zeros(1, 1, 2 * MULTIPLE, MULTIPLE, 3 * MULTIPLE))
    assert answer.shape == (1, TISSUES + len(CLASSES), 2 * MULTIPLE, MULTIPLE, 3 * MULTIPLE)


def test_contrasts_of_a_patient_lie_in_the_same_place_though_one_shows_more(head):
    anatomy, _ = head
    more, less = (np.where(anatomy.distance < limit, anatomy.t1, 0) for limit in (3, -2))
    less[:, :14] = 0  # of the brain in one of them, a piece is missing
    cases = held_out.same_place({"T1": less, "T2": more})
    assert cases[0].picture.shape == cases[1].picture.shape
    shown = [case.picture != OUTSIDE for case in cases]
    assert (shown[1] | ~shown[0]).all()
    assert shown[1].sum() > shown[0].sum()
    inside = shown[0] & shown[1]
    assert np.corrcoef(cases[0].picture[inside], cases[1].picture[inside])[0, 1] > 0.99


def test_a_training_learns_is_tested_and_goes_on(head, tmp_path, monkeypatch):
    anatomy, mapped = head
    monkeypatch.setattr(brain_structures, "load_heads", lambda data, cache, threads: [head])
    case = held_out.make_case("mr_head", anatomy.t1, anatomy.distance < 2, mapped.labels)
    cut_out = np.where(anatomy.distance < 2, anatomy.t1, 0)
    contrasts = held_out.same_place(dict.fromkeys(("T1", "T2", "FLAIR"), cut_out))
    assert all(n % 16 == 0 for n in case.picture.shape)
    monkeypatch.setattr(brain_structures, "load_cases", lambda data, cache, threads: [case, *contrasts])
    recipe = brain_structures.Recipe(minutes=10, samples=4, size=32, kept=4, every=2)
    path = brain_structures.train(tmp_path, tmp_path / "out", recipe, 1)
    about = json.loads(path.with_suffix(".json").read_text())
    assert path.name == "brain-structures.safetensors"
    rows = (tmp_path / "out" / "held_out.csv").read_text().splitlines()
    assert rows[0].split(",")[3:6] == ["mr_head", "T1 and T2", "T1 and FLAIR"]
    assert rows[-1].split(",")[4:6] == ["1.0000", "1.0000"]  # the same picture three times
    longer = brain_structures.Recipe(minutes=10, samples=8, size=32, kept=4, every=2)
    again = json.loads(brain_structures.train(tmp_path, tmp_path / "out", longer, 1).with_suffix(".json").read_text())
    assert again["steps"] > about["steps"]
