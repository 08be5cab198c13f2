from __future__ import annotations

import re
from pathlib import Path

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS, published_model

OPEN = {"ctranspath", "midnight-12k"}
MODELS = sorted(FOUNDATION_MODELS.items())


def test_gated_and_noncommercial_models_need_a_word_of_the_user():
    for name, model in MODELS:
        model.require_permission(True)
        if name in OPEN:
            model.require_permission(False)
            continue
        with pytest.raises(ConfigurationError) as caught:
            model.require_permission(False)
        for part in (repr(name), model.licence, model.url, "allow_noncommercial=True"):
            assert part in str(caught.value)


def test_terms_are_said_as_they_are():
    with pytest.raises(ConfigurationError, match="is gated and not for commercial"):
        FOUNDATION_MODELS["uni2-h"].require_permission(False)
    with pytest.raises(ConfigurationError, match="is not for commercial use"):
        FOUNDATION_MODELS["phikon-v2"].require_permission(False)
    with pytest.raises(ConfigurationError, match=r"is gated \(licence: Apache"):
        FOUNDATION_MODELS["gigapath"].require_permission(False)
    with pytest.raises(ConfigurationError, match=r"is gated \(licence: Apache-2.0\)"):
        FOUNDATION_MODELS["h-optimus-0"].require_permission(False)


def test_models_that_saw_tcga_are_marked():
    saw = {name for name, model in MODELS if model.saw_tcga}
    assert saw == {"ctranspath", "midnight-12k", "phikon-v2"}
    for _name, model in MODELS:
        assert model.saw_tcga == ("TCGA" in model.pretraining)


def test_facts_are_possible():
    for name, model in MODELS:
        assert name == model.name
        assert model.input_size % model.patch_px == 0
        assert all(0 < value < 1 for value in (*model.mean, *model.std))
        assert 0.2 < model.mpp < 2
        assert model.layout in {"timm", "dinov2", "ctranspath"}
        assert model.noncommercial == (
            "NC" in model.licence or "non-commercial" in model.licence
        )
        assert model.url.endswith(model.hub_id)
        assert re.fullmatch(r"[0-9a-f]{40}", model.revision or "0" * 40)


def test_commits_are_known_of_all_but_three():
    unknown = {name for name, model in MODELS if model.revision is None}
    assert unknown == {"ctranspath", "hibou-b", "hibou-l"}
    known = [model.revision for _name, model in MODELS if model.revision]
    assert len(set(known)) == len(known)


def test_models_are_found_by_their_repository_in_any_case():
    assert published_model("mahmoodlab/uni") is FOUNDATION_MODELS["uni"]
    assert published_model("MahmoodLab/UNI3") is None


@pytest.mark.parametrize(("name", "model"), MODELS)
def test_the_documents_say_the_same(name, model):
    page = Path(__file__).parents[2] / "docs" / "encoders.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| `{name}` |")]
    cells = map(str.strip, row.split("|"))
    _, _, hub, revision, sizes, licence, permission, seen, _ = cells
    assert hub.startswith(model.hub_id)
    other = "-" if model.layout == "ctranspath" else "newest"
    assert revision == (f"`{model.revision[:8]}`" if model.revision else other)
    assert sizes == f"{model.patch_px}, {model.dim}"
    assert licence == model.licence + (", gated" if model.gated else "")
    assert permission == ("yes" if model.gated or model.noncommercial else "no")
    assert ("**TCGA**" in seen) == model.saw_tcga
