from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models import fusion
from napari_mmsubtype.models.fusion import (
    FusionModel,
    create_fusion,
    list_fusions,
    register_fusion,
)
from napari_mmsubtype.models.option_names import option_names


def test_modalities_are_in_the_order_used_everywhere():
    model = create_fusion(
        "evidence", dim=4, classes=2, omics={"clinical": 3, "rna": 5}, token_dim=8
    )
    assert model.modalities == (Modality.IMAGE, Modality.RNA, Modality.CLINICAL)
    assert model.omics == {"rna": 5, "clinical": 3}
    assert (model.name, model.options) == ("evidence", {"token_dim": 8})


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'magic'.*evidence"):
        create_fusion("magic", dim=4, classes=2, omics={})


@pytest.mark.parametrize(
    ("dim", "classes", "omics"),
    [(0, 2, {}), (4, 0, {}), (4, 2, {"rna": 0}), (4, 2, {"image": 3})],
)
def test_impossible_sizes_are_refused(dim, classes, omics):
    with pytest.raises(ValueError, match="positive sizes and omics among"):
        create_fusion("evidence", dim=dim, classes=classes, omics=omics)


def test_reference_keeps_idle_channels_from_being_blown_up():
    model = FusionModel(3, 2, {})
    model.set_reference(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 1.0, 0.0]))
    assert model.embedding_mean.tolist() == [1.0, 2.0, 3.0]
    torch.testing.assert_close(model.embedding_scale, torch.tensor([2.0, 1.0, 0.05]))
    assert {"embedding_mean", "embedding_scale"} <= set(model.state_dict())


def test_a_registered_model_is_found_and_its_name_is_taken(monkeypatch):
    monkeypatch.setattr(fusion, "_FACTORIES", dict(fusion._FACTORIES))
    register_fusion("bare")(FusionModel)
    assert "bare" in list_fusions()
    model = create_fusion("bare", dim=2, classes=2, omics={})
    with pytest.raises(NotImplementedError):
        model(
            torch.zeros(1, 1, 2), torch.ones(1, 1).bool(), {}, torch.ones(1, 1).bool()
        )
    with pytest.raises(ValueError, match="already registered"):
        register_fusion("bare")(object)


def test_the_documents_list_every_model_with_its_options():
    page = Path(__file__).parents[2] / "docs" / "fusion.md"
    text = page.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    for name in list_fusions():
        about, options = [row for row in rows if f"`{name}`" in row.split("|")[1]][:2]
        model = create_fusion(
            name, dim=4, classes=2, omics={"rna": 3, "methylation": 3, "clinical": 3}
        )
        assert ("| exact" in about) == model.exact_cam
        known = option_names(fusion._factory(name))
        listed = [part.strip(" `") for part in options.split("|")[2].split(",")]
        assert sorted(listed) == list(known)
