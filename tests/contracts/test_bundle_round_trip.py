"""Every fusion family over two encoders comes back from its bundle bit by bit."""

from __future__ import annotations

import pytest
import torch

from builders.bundles import modality_spec
from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.models.bundle import load_bundle, save_bundle
from napari_mmsubtype.models.bundle_pack import pack_bundle
from napari_mmsubtype.models.bundle_verify import verify_bundle
from napari_mmsubtype.models.fusion import create_fusion, list_fusions
from napari_mmsubtype.models.registry import create_encoder

ENCODERS = {"demo-cnn": {"input_size": 64}, "squeezenet1_1": {"input_size": 64}}
PATIENTS = 3


@pytest.fixture(scope="module", params=list(ENCODERS))
def encoder(request):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return create_encoder(request.param, **ENCODERS[request.param])


@pytest.fixture(scope="module")
def make(encoder, tmp_path_factory):
    """Write a bundle of a family; give the networks that it was written from too."""

    def write(name):
        specs = {modality: modality_spec(modality) for modality in OMICS}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            fusion = create_fusion(
                name,
                dim=encoder.dim,
                classes=2,
                omics={m: len(spec) for m, spec in specs.items()},
            ).eval()
        size = encoder.input_size
        folder = save_bundle(
            tmp_path_factory.mktemp("round-trip") / name,
            name=name,
            version="1",
            classes=(LUMINAL, BASAL_HER2),
            encoder=encoder,
            fusion=fusion,
            patch=PatchSpec(size, 0.5, size),
            modalities=specs,
            info={"license": "MIT"},
        )
        return folder, fusion

    return write


def answer(encoder, fusion, device="cpu"):
    """Every output of a batch of patients, each with other modalities."""
    random = torch.Generator().manual_seed(3)
    size = encoder.input_size
    patches = torch.randint(
        0, 256, (4, size, size, 3), dtype=torch.uint8, generator=random
    )
    omics = {
        m: torch.randn(PATIENTS, n, generator=random).to(device)
        for m, n in fusion.omics.items()
    }
    present = torch.tensor(
        [[True] * 4, [True, False, True, False], [False, True, False, True]]
    )
    present = present[:, [list(Modality).index(m) for m in fusion.modalities]]
    encoder, fusion = encoder.to(device), fusion.to(device)
    with torch.no_grad():
        bag = encoder(encoder.normalize(patches.to(device)))
        output = fusion(
            bag.expand(PATIENTS, -1, -1),
            torch.ones(PATIENTS, len(bag), dtype=torch.bool, device=device),
            omics,
            present.to(device),
        )
    return {
        "bag": bag,
        "logits": output.logits,
        "evidence": output.evidence,
        "weights": output.weights,
        **{f"logits of {m}": v for m, v in output.modality_logits.items()},
    }


@pytest.mark.parametrize("name", list_fusions())
def test_a_bundle_comes_back_bit_by_bit(encoder, make, name, tmp_path):
    folder, fusion = make(name)
    # PyTorch multiplies matrices in another order where weights are to be trained.
    encoder, fusion = encoder.requires_grad_(False), fusion.requires_grad_(False)
    expected = answer(encoder, fusion)
    for source in (folder, pack_bundle(folder, tmp_path / "b.zip")):
        bundle = load_bundle(source)
        for own, found in ((encoder, bundle.encoder), (fusion, bundle.fusion)):
            state = found.state_dict()
            assert list(state) == list(own.state_dict())
            for key, value in own.state_dict().items():
                assert state[key].dtype == value.dtype, key
                assert torch.equal(state[key], value), key
        found = answer(bundle.encoder, bundle.fusion)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert torch.equal(found[key], value), key


@pytest.mark.parametrize("name", list_fusions())
def test_a_loaded_bundle_is_written_again_to_the_same_bytes(make, name, tmp_path):
    folder, _ = make(name)
    bundle = load_bundle(folder)
    again = save_bundle(
        tmp_path / name,
        name=bundle.name,
        version=bundle.version,
        classes=bundle.classes,
        heads=bundle.heads,
        encoder=bundle.encoder,
        fusion=bundle.fusion,
        patch=bundle.patch,
        modalities=bundle.modalities,
        temperature=bundle.temperature,
        info=bundle.info,
        reference=bundle.reference,
    )
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) >= 8
    for path in files:
        twin = again / path.relative_to(folder)
        assert twin.read_bytes() == path.read_bytes(), path.name


@pytest.mark.gpu
@pytest.mark.parametrize("name", list_fusions())
def test_a_graphics_card_agrees_within_tolerance(make, name, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    folder, _ = make(name)
    found = verify_bundle(folder, device=torch.device("cuda"), tolerance=1e-4)
    assert "on cuda" in found.checks["self-test"]
    bundle = load_bundle(folder)
    expected = answer(bundle.encoder, bundle.fusion)
    # `to` moves the networks themselves: the answer on the CPU comes first.
    for key, value in answer(bundle.encoder, bundle.fusion, "cuda").items():
        torch.testing.assert_close(
            value.cpu(), expected[key], rtol=1e-3, atol=1e-4, msg=lambda m, k=key: k + m
        )
