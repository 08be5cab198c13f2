from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

from builders.bundles import tiny_bundle
from builders.wsinfer import KINDS, MEAN, STD, make_network, write_model
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.errors import BundleError, ConfigurationError
from napari_mmsubtype.models.bundle import load_bundle, save_bundle
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.registry import create_encoder, list_encoders
from napari_mmsubtype.training.config import PatchTrainingConfig
from napari_mmsubtype.training.patch_trainer import fit_patch_encoder
from napari_mmsubtype.workflows.jobs import run_job


@pytest.fixture
def patches():
    draw = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (3, 64, 64, 3), generator=draw).to(torch.uint8)


def prepared(patches, size):
    """What the zoo's own recipe makes of patches, by Pillow and torchvision."""
    recipe = v2.Compose(
        [
            v2.Resize(size),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    return torch.stack([recipe(Image.fromarray(p.numpy())) for p in patches])


@pytest.mark.parametrize("kind", KINDS)
def test_map_and_probabilities_are_those_of_the_model(kind, tmp_path, patches):
    network = make_network()
    folder = write_model(tmp_path / "model", network, kind)
    encoder = create_encoder(f"wsinfer:{folder}")
    assert (encoder.dim, encoder.cells, encoder.cell_px) == (12, 4, 16)
    assert (encoder.input_size, encoder.config.mpp) == (64, 0.5)
    assert encoder.name == f"wsinfer:{folder}"
    images = prepared(patches, 64)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.normalize(patches), images)
        maps = encoder.feature_map(images)
        torch.testing.assert_close(maps, network.forward_features(images))
        torch.testing.assert_close(encoder(images), maps.mean(dim=(2, 3)))
        expected = network(images).softmax(dim=1)
    torch.testing.assert_close(encoder.probabilities(patches), expected)
    assert len(encoder.config.class_names) == expected.shape[1]


def test_a_network_of_torchvision_called_directly(tmp_path, patches):
    torch.manual_seed(1)
    network = torchvision.models.resnet18(num_classes=2).eval()
    folder = write_model(tmp_path, network, "frozen trace", classes=2)
    encoder = create_encoder(f"wsinfer:{folder}")
    with torch.inference_mode():
        expected = network(prepared(patches, 64)).softmax(dim=1)
    torch.testing.assert_close(
        encoder.probabilities(patches), expected, rtol=1e-4, atol=1e-6
    )


def test_one_class_is_a_chance(tmp_path, patches):
    network = make_network(1)
    encoder = create_encoder(f"wsinfer:{write_model(tmp_path, network)}")
    with torch.inference_mode():
        expected = torch.sigmoid(network(prepared(patches, 64)))
    torch.testing.assert_close(encoder.probabilities(patches), expected)


def test_patches_are_resized_as_pillow_does(tmp_path):
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (2, 10, 10, 3)).repeat(10, axis=1).repeat(10, axis=2)
    patches = torch.from_numpy(blocks.astype(np.uint8))
    resize = {"name": "Resize", "arguments": {"size": 64}}
    steps = [
        resize,
        {"name": "ToTensor"},
        {"name": "Normalize", "arguments": {"mean": MEAN, "std": STD}},
    ]
    folder = write_model(tmp_path, make_network(), size=100, transform=steps)
    encoder = create_encoder(f"wsinfer:{folder}")
    assert (encoder.input_size, encoder.cells, encoder.cell_px) == (100, 4, 25)
    images = encoder.normalize(patches)
    assert images.shape == (2, 3, 64, 64)
    # At most one gray level apart, from rounding.
    level = 1 / 255 / min(STD)
    assert (images - prepared(patches, 64)).abs().max() <= 1.01 * level
    with torch.inference_mode():
        assert encoder.feature_map(images).shape == (2, 12, 4, 4)


def test_the_file_itself_may_be_named(tmp_path, patches):
    folder = write_model(tmp_path, make_network())
    script = folder / "torchscript_model.pt"
    by_file = create_encoder(f"wsinfer:{script}", input_size=64)
    by_folder = create_encoder(f"wsinfer:{folder}")
    assert by_file.options == {"input_size": 64}
    expected = by_folder.probabilities(patches)
    assert torch.equal(by_file.probabilities(patches), expected)


def test_it_is_no_name_of_its_own(tmp_path):
    create_encoder(f"wsinfer:{write_model(tmp_path, make_network())}")
    assert not [name for name in list_encoders() if "wsinfer" in name]


def test_bad_folders_and_sizes_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"at '.*gone'; give a folder with"):
        create_encoder(f"wsinfer:{tmp_path / 'gone'}")
    folder = write_model(tmp_path / "model", make_network())
    with pytest.raises(ConfigurationError, match=r"takes patches of 64 px .*found 128"):
        create_encoder(f"wsinfer:{folder}", input_size=128)
    about = json.loads((folder / "config.json").read_text())
    about.update(num_classes=2, class_names=["a", "b"])
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(ConfigurationError, match=r"gives 3 values for 2 classes \(a,"):
        create_encoder(f"wsinfer:{folder}")
    (folder / "torchscript_model.pt").unlink()
    with pytest.raises(ConfigurationError, match="no such file"):
        create_encoder(f"wsinfer:{folder}")


def test_its_weights_are_its_own(tmp_path):
    folder = write_model(tmp_path / "model", make_network())
    state = tmp_path / "w.pth"
    torch.save(make_network().state_dict(), state)
    with pytest.raises(ConfigurationError, match="are not those of encoder 'wsinfer"):
        create_encoder(f"wsinfer:{folder}", weights=state)


def test_it_cannot_be_trained(tmp_path, patches):
    encoder = create_encoder(f"wsinfer:{write_model(tmp_path, make_network())}")
    targets = np.ones((3, 2), np.float32)
    job = fit_patch_encoder(encoder, patches.numpy(), targets, PatchTrainingConfig())
    with pytest.raises(ConfigurationError, match="no weights that can be trained"):
        run_job(job)


def test_a_bundle_neither_holds_nor_runs_it(tmp_path):
    folder = write_model(tmp_path / "model", make_network())
    encoder = create_encoder(f"wsinfer:{folder}")
    with pytest.raises(BundleError, match="which a bundle neither holds nor runs"):
        save_bundle(
            tmp_path / "bundle",
            name="a",
            version="1",
            classes=(LUMINAL, BASAL_HER2),
            encoder=encoder,
            fusion=create_fusion("image_only", dim=12, classes=2, omics={}),
            patch=PatchSpec(64, 0.5, 64),
            modalities={},
        )
    assert not (tmp_path / "bundle").exists()
    path = tiny_bundle(tmp_path / "tiny")
    manifest = json.loads((path / "bundle.json").read_text())
    manifest["encoder"] = {**manifest["encoder"], "name": f"wsinfer:{folder}"}
    (path / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="neither holds nor runs"):
        load_bundle(path)


@pytest.mark.parametrize("kind", ["script", "trace"])
def test_a_network_that_kept_its_names_lends_its_weights(kind, tmp_path):
    torch.manual_seed(1)
    network = torchvision.models.resnet18(num_classes=2).eval()
    folder = write_model(tmp_path, network, kind, classes=2)
    script = folder / "torchscript_model.pt"
    encoder = create_encoder("resnet18", weights=script, input_size=64)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network.fc(encoder(images)), network(images))


def test_a_frozen_network_has_no_names_to_lend(tmp_path):
    folder = write_model(tmp_path, make_network())
    with pytest.raises(ConfigurationError, match=r"frozen TorchScript.*wsinfer:"):
        create_encoder("resnet18", weights=folder / "torchscript_model.pt")
