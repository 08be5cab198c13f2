"""Parts of fusion models in their order: held against the graph of a forward pass."""

import pytest
import torch

from builders.fusion import VARIANTS, make_batch, make_model
from napari_mmsubtype.models.parts_downward import parts_downward

MORE = {
    "transmil-positional": (
        "feature_concat",
        {"pooling": "transmil", "pooling_options": {"positional": True}},
    )
}
FIRST = {
    "evidence": "EvidenceFusion",
    "image_only": "ImageOnly",
    "cross_attention": "head.3",
    "feature_concat": "head.3",
    "gated": "head",
    "bilinear": "head",
    "late": "own_heads.image",
    "fold_ensemble": "EvidenceFusion",
    "rna_only": "head",
    "methylation_only": "head",
    "clinical_only": "head",
}


@pytest.fixture(params=VARIANTS | MORE)
def model(request):
    name, options = (VARIANTS | MORE)[request.param]
    return make_model(name, **options)


def weights(modules):
    return [w for module in modules for w in module.parameters(recurse=False)]


def test_every_weight_is_in_one_part(model):
    listed = [id(w) for part in parts_downward(model).values() for w in weights(part)]
    assert len(listed) == len(set(listed))
    everything = {id(w) for w in model.parameters() if w.numel() > 1}
    assert everything <= set(listed)


def test_the_first_part_makes_the_logits(model):
    name, parts = next(iter(parts_downward(model).items()))
    assert name == FIRST[model.name]
    # They are linear in its weights: twice the step moves them twice as far.
    batch, draw = make_batch(), torch.Generator().manual_seed(0)
    steps = [torch.randn(w.shape, generator=draw) for w in weights(parts)]
    logits = []
    with torch.no_grad():
        for _ in range(3):
            logits.append(batch.run(model).logits)
            for weight, step in zip(weights(parts), steps, strict=True):
                weight += step
    once, again = logits[1] - logits[0], logits[2] - logits[1]
    assert once.abs().max() > 0.1
    torch.testing.assert_close(once, again, rtol=1e-3, atol=1e-3)


def test_no_part_is_made_from_what_lies_above_it(model):
    parts = parts_downward(model)
    outputs = {name: [] for name in parts}
    for name, modules in parts.items():
        for module in modules:
            # Called modules only; others hand their weights to the one around them.
            module.register_forward_hook(
                lambda _module, _given, output, kept=outputs[name]: kept.append(output)
            )
    model.requires_grad_()
    make_batch().run(model)
    above, seen = [], 0
    for name, modules in parts.items():
        made = [o for o in outputs[name] if torch.is_tensor(o) and o.requires_grad]
        if made and above:
            total = sum(output.sum() for output in made)
            slopes = torch.autograd.grad(
                total, above, allow_unused=True, retain_graph=True
            )
            assert all(slope is None for slope in slopes), name
            seen += 1
        above += weights(modules)
    assert seen or model.name == "image_only"


@pytest.mark.parametrize(
    ("name", "order"),
    {
        "bilinear": ["head", "norm", "BilinearFusion", "norms.image", "project.0"],
        "late": ["own_heads.image", "LateFusion", "encoders.rna.second", "project.0"],
        "rna_only": ["head", "TableOnly", "encoder.second", "encoder.first"],
        "cross_attention": [
            "head.3", "head.0", "norm_patches", "blocks.1.refine_patches.4",
            "blocks.0.norm_patches", "project.0", "CrossAttentionFusion",
        ],
    }.items(),
)  # fmt: skip
def test_what_a_model_holds_itself_lies_where_it_is_used(name, order):
    names = list(parts_downward(make_model(name)))
    assert sorted(order, key=names.index) == order


def test_the_same_part_of_all_members_of_an_ensemble_is_one():
    name, options = VARIANTS["fold_ensemble"]
    ensemble = make_model(name, **options)
    members = [joined.model for joined in ensemble.members]
    parts = parts_downward(ensemble)
    assert list(parts) == list(parts_downward(members[0]))
    assert parts["EvidenceFusion"] == members
    assert parts["encoders.rna.first"] == [m.encoders["rna"].first for m in members]
