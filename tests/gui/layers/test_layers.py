import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points

from aligned import ORIENTATIONS, aligned, field_at
from napari_radcnn.errors import RadcnnError
from napari_radcnn.geometry import Geometry
from napari_radcnn.gui.layers.layers import label_map_from_layer, layer_data, volume_from_layer
from napari_radcnn.phantom import oblique_geometry, rotation, world_field
from napari_radcnn.results import Label, LabelMap
from napari_radcnn.volume import Volume, VolumeMetadata


def made(scan):
    return Layer.create(*layer_data(scan))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_voxel_of_an_aligned_scan_stands_at_its_place(orientation):
    volume = world_field(aligned(orientation))
    layer = made(volume)
    for index in np.ndindex(layer.data.shape):
        assert layer.data[index] == pytest.approx(field_at(layer, index), abs=0.01)
    assert np.shares_memory(layer.data, volume.array)
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert np.all(np.asarray(layer.scale) > 0)
    assert np.allclose(layer.rotate, np.eye(3))
    assert layer.axis_labels == ("S", "P", "L")


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_aligned_scans_come_back_on_their_own_grid(orientation):
    volume = world_field(aligned(orientation))
    back = volume_from_layer(made(volume))
    assert back.geometry.is_close(volume.geometry, 1e-9)
    assert np.array_equal(back.array, volume.array)
    assert back.name == "world field"


def test_rounding_in_the_cosines_is_snapped_about_the_middle():
    straight = aligned("SPL", (30, 40, 50))
    tilted = Geometry.from_parts(
        straight.shape, straight.spacing, straight.origin, rotation(0.04, 0, 0) @ straight.direction
    )
    layer = made(world_field(tilted))
    middle = (np.array(tilted.shape) - 1) / 2
    assert np.allclose(np.array(layer.data_to_world(middle))[::-1], tilted.to_world(middle), atol=1e-6)
    assert layer.data.shape == tilted.shape
    assert volume_from_layer(layer).geometry.is_close(tilted, 1e-9)


def test_oblique_scans_are_resampled_upright_and_come_back_untouched():
    volume = world_field(oblique_geometry())
    layer = made(volume)
    inside = 0
    for index in np.random.default_rng(1).integers(0, layer.data.shape, (1000, 3)):
        z, y, x = layer.data_to_world(tuple(index.astype(float)))
        at = volume.geometry.to_index((x, y, z))
        if np.all(at >= 0) and np.all(at <= np.array(volume.geometry.shape) - 1):
            inside += 1
            assert layer.data[tuple(index)] == pytest.approx(field_at(layer, index), abs=0.01)
    assert inside > 100
    back = volume_from_layer(layer)
    assert np.array_equal(back.array, volume.array)
    assert back.geometry.is_close(volume.geometry, 1e-9)
    with pytest.raises(ValueError, match="read-only"):
        layer.data[0, 0, 0] = 1


def test_sheared_scans_are_resampled():
    geometry = aligned("SPL", (6, 7, 8))
    affine = geometry.affine.copy()
    affine[1, 0] = 0.9  # gantry tilt
    layer = made(world_field(Geometry(geometry.shape, affine)))
    index = tuple(n // 2 for n in layer.data.shape)
    assert layer.data[index] == pytest.approx(field_at(layer, index), abs=0.01)


def test_a_border_slice_survives_rounding():
    turned = Geometry.from_parts((3, 9, 9), (2, 1, 1), (0, 0, 0), rotation(0, 0, 20) @ np.eye(3)[:, ::-1])
    volume = Volume(np.full(turned.shape, 7, np.int16), turned)
    shown = made(volume).data
    assert shown.shape[0] == 3
    assert (shown[0] == 7).sum() == (shown[1] == 7).sum() == (shown[2] == 7).sum() > 0


def labels_on(geometry: Geometry) -> LabelMap:
    array = np.zeros(geometry.shape, np.uint8)
    array[1:3, 1:, 2:] = 1
    array[0, 0, 0] = 3
    return LabelMap(array, geometry, {1: Label("brain", (1, 0, 0)), 3: Label("lesion")}, "T1 · x", {"model": "x"})


@pytest.mark.parametrize("geometry", [aligned("AIR"), oblique_geometry()], ids=["aligned", "oblique"])
def test_labels_come_back_exactly_with_names_and_provenance(geometry):
    label_map = labels_on(geometry)
    layer = made(label_map)
    assert isinstance(layer, Labels)
    assert layer.name == "T1 · x"
    assert layer.metadata["radcnn"]["provenance"] == {"model": "x"}
    assert np.allclose(layer.colormap.map(1), (1, 0, 0, 1))
    assert list(layer.features["name"]) == ["background", "brain", "lesion"]
    back = label_map_from_layer(layer)
    assert np.array_equal(back.array, label_map.array)
    assert back.geometry.is_close(geometry, 1e-9)
    assert back.labels[3].name == "lesion"
    assert back.provenance == {"model": "x"}


def test_the_status_bar_names_the_label():
    viewer = ViewerModel()
    layer = viewer.add_layer(made(labels_on(aligned("SPL"))))
    viewer.dims.set_point(0, layer.data_to_world((1, 1, 2))[0])
    assert "brain" in str(layer.get_status(layer.data_to_world((1, 1, 2)), world=True))


def test_an_edit_by_hand_reaches_the_native_grid_and_the_provenance():
    label_map = labels_on(aligned("RIA"))
    layer = made(label_map)
    layer.data[0, 0, 0] = 9
    back = label_map_from_layer(layer)
    world = np.array(layer.data_to_world((0, 0, 0)))[::-1]
    index = tuple(np.rint(back.geometry.to_index(world)).astype(int))
    assert back.array[index] == 9
    assert back.labels[9].name == "label 9"
    assert back.provenance["edited_by_hand"] is True


def test_an_edit_on_an_oblique_scan_changes_only_what_was_edited():
    label_map = labels_on(oblique_geometry())
    layer = made(label_map)
    z, y, x = (int(n) // 2 for n in layer.data.shape)
    layer.data[z : z + 1, y - 2 : y + 3, x - 2 : x + 3] = 5
    back = label_map_from_layer(layer)
    changed = np.argwhere(back.array != label_map.array)
    assert len(changed) > 0
    assert np.all(back.array[tuple(changed.T)] == 5)
    edit = np.array(layer.data_to_world((z, y, x)))[::-1]
    distance = np.abs(label_map.geometry.to_world(changed) - edit).max(0)
    assert np.all(distance <= (3 * 0.7, 3 * 0.8, 2.5))


def test_a_moved_layer_is_taken_where_it_is_now():
    volume = world_field(aligned("LSP"))
    layer = made(volume)
    layer.translate = np.add(layer.translate, (10, 0, -2))
    back = volume_from_layer(layer)
    assert np.allclose(np.array(back.geometry.origin) - volume.geometry.origin, (-2, 0, 10))
    assert any("moved" in warning for warning in back.warnings)


def test_a_moved_oblique_layer_is_taken_where_it_is_now():
    volume = world_field(oblique_geometry())
    layer = made(volume)
    layer.translate = np.add(layer.translate, (10, 0, -2))
    back = volume_from_layer(layer)
    assert np.allclose(np.array(back.geometry.origin) - volume.geometry.origin, (-2, 0, 10))
    assert np.array_equal(back.array, volume.array)


def test_foreign_layers_are_read_from_all_their_transforms():
    layer = Image(
        np.arange(60, dtype=np.int16).reshape(3, 4, 5),
        scale=(2.5, 0.8, 0.7),
        translate=(40.25, 17.5, -31.0),
        rotate=rotation(10, 20, 30),
        shear=(0.1, 0.0, 0.2),
        units="mm",
    )
    volume = volume_from_layer(layer)
    for index in ((0, 0, 0), (2, 1, 3)):
        world = np.array(layer.data_to_world(tuple(map(float, index))))[::-1]
        assert np.allclose(volume.geometry.to_world(index), world)
    assert volume.warnings == ()


def test_foreign_units_are_converted_and_pixels_are_told():
    data = np.zeros((3, 4, 5), np.uint8)
    in_cm = volume_from_layer(Image(data, scale=(0.25, 0.08, 0.07), units="cm"))
    assert np.allclose(in_cm.geometry.spacing, (2.5, 0.8, 0.7))
    in_pixels = volume_from_layer(Image(data, scale=(2.5, 0.8, 0.7)))
    assert np.allclose(in_pixels.geometry.spacing, (2.5, 0.8, 0.7))
    assert "assumed to be in mm" in in_pixels.warnings[0]


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (Image(np.zeros((4, 5)), name="flat"), "2 axes"),
        (Image(np.zeros((2, 3, 4, 5)), name="time"), "4 axes"),
        (Image([np.zeros((4, 8, 8)), np.zeros((2, 4, 4))], multiscale=True), "multiscale"),
        (Points(np.zeros((1, 3))), "points"),
        (Image(np.zeros((3, 4, 5, 4), np.uint8), rgb=True), "color"),
    ],
)
def test_other_kinds_of_layers_are_refused_in_words(layer, says):
    with pytest.raises(RadcnnError, match=says):
        volume_from_layer(layer)


def test_an_image_is_no_label_map():
    with pytest.raises(RadcnnError, match="choose a layer of type labels"):
        label_map_from_layer(Image(np.zeros((3, 4, 5))))


def test_window_inversion_and_color():
    geometry = aligned("SPL")
    metadata = VolumeMetadata(name="x", window_center=40, window_width=400, is_inverted=True)
    layer = made(Volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), geometry, metadata))
    assert layer.contrast_limits == [-160, 240]
    assert layer.colormap.name == "gray_r"
    color = Volume(np.zeros((3, 4, 5, 3), np.uint8), geometry)
    assert made(color).rgb
    assert volume_from_layer(made(color)).is_color


def test_a_file_of_labels_is_shown_in_the_colors_it_names():
    labels = {2: Label("liver", (0.8, 0.4, 0.2)), 5: Label("spleen")}
    grid = oblique_geometry((3, 4, 5)).axis_aligned()
    array = np.zeros(grid.shape, np.uint8)
    array[0, 1, 2], array[2, 3, 4] = 2, 5
    layer = Layer.create(*layer_data(Volume(array, grid, VolumeMetadata(name="x").with_labels(labels))))
    np.testing.assert_allclose(layer.colormap.map(2), (0.8, 0.4, 0.2, 1.0), atol=1e-6)
    assert layer.colormap.map(5)[3] == 1.0
    back = label_map_from_layer(layer)
    assert back.labels == labels
    np.testing.assert_array_equal(back.array, array)


def test_a_file_of_labels_becomes_a_labels_layer_of_unsigned_integers():
    volume = Volume(np.full((3, 4, 5), 300, np.int16), aligned("IPL"), VolumeMetadata(is_label=True))
    layer = made(volume)
    assert isinstance(layer, Labels)
    assert label_map_from_layer(layer).array.dtype == np.uint16
    bad = Volume(np.full((3, 4, 5), -1, np.int16), aligned("IPL"), VolumeMetadata(is_label=True))
    with pytest.raises(RadcnnError, match="-1"):
        layer_data(bad)


#: Machado, Oliveira and Fernandes (2009), complete, on linear red, green and blue.
SEEN_AS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("kind", SEEN_AS)
def test_color_blind_people_tell_the_first_seven_labels_apart(kind):
    """By CIELAB: less than 10 apart is hard to tell, and napari's own colors come as near as 1.5."""
    grid = Geometry.from_parts((2, 3, 4), (2.5, 0.8, 0.7), (-31.0, 17.5, 40.25))
    names = {value: Label(f"part {value}") for value in range(1, 8)}
    layer = Layer.create(*layer_data(LabelMap(np.zeros((2, 3, 4), np.uint8), grid, names, "parts")))
    colors = np.array([layer.colormap.map(value)[:3] for value in names])
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    lab = lab_of(np.clip(linear @ np.array(SEEN_AS[kind]).T, 0, 1))
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
    assert apart[~np.eye(7, dtype=bool)].min() > 15
    assert tuple(layer.colormap.map(8)[:3]) not in {tuple(color) for color in colors}  # painted later


def lab_of(linear):
    """Return CIELAB of linear sRGB, D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x = linear @ to_xyz.T / (0.9505, 1.0, 1.089)
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1)
