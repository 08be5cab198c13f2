"""An encoder is dressed as a model whose digest tells encoders apart."""

import pytest
import torch

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.training.preset_files import load_preset
from napari_mmsubtype.workflows.embedding_model import (
    bundle_model,
    encoder_digest,
    in_precision,
    named_model,
    preset_model,
)

SMALL = (
    "encoder.name=demo-cnn",
    "encoder.weights=null",
    "encoder.options={}",
    "patch.size_px=64",
    "patch.stride_px=32",
)


def test_the_same_encoder_has_the_same_digest_and_another_has_not():
    torch.manual_seed(7)
    first = named_model("demo-cnn", patch_px=64)
    assert torch.initial_seed() == 7
    assert (first.patch.size_px, first.patch.mpp, first.patch.stride_px) == (
        64,
        0.5,
        64,
    )
    assert named_model("demo-cnn", patch_px=64).digest == first.digest
    others = {
        named_model("demo-cnn", patch_px=96).digest,
        named_model("demo-cnn", patch_px=64, patch_mpp=1.0).digest,
        encoder_digest(first.encoder, first.patch, {"icc": True}),
    }
    with torch.no_grad():
        next(first.encoder.parameters()).add_(1e-3)
    others.add(encoder_digest(first.encoder, first.patch, {}))
    assert len(others | {named_model("demo-cnn", patch_px=64).digest}) == 5


def test_a_preset_gives_its_own_encoder_and_patches():
    model = preset_model(load_preset("evidence", SMALL))
    assert (model.encoder.name, model.patch.size_px) == ("demo-cnn", 64)
    assert model.patch.stride_px == 32


def test_a_precision_makes_another_model_of_the_same_encoder():
    model = named_model("demo-cnn", patch_px=64)
    assert in_precision(model, "auto") is model
    others = [in_precision(model, name) for name in ("float32", "bfloat16")]
    assert len({model.digest, *(other.digest for other in others)}) == 3
    assert in_precision(model, "bfloat16").digest == others[1].digest
    assert all(other.encoder is model.encoder for other in others)


@pytest.mark.parametrize("name", ["int8", "float16"])
def test_a_precision_that_does_not_treat_slides_alike_is_refused(name):
    model = named_model("demo-cnn", patch_px=64)
    with pytest.raises(ConfigurationError, match="auto, float32, bfloat16") as found:
        in_precision(model, name)
    assert ("in its own way" in str(found.value)) == (name == "int8")


def test_a_bundle_gives_its_trained_encoder(tmp_path):
    path = tiny_bundle(tmp_path / "tiny")
    whole, model = load_bundle(path), bundle_model(path)
    assert model.patch == whole.patch
    assert model.modalities == {}
    for key, value in whole.encoder.state_dict().items():
        torch.testing.assert_close(model.encoder.state_dict()[key], value)
