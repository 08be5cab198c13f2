from __future__ import annotations

import pytest
import torch
from torch import nn

from builders.omics import log_frame
from builders.published_fusion import PublishedCrossAttention
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.cross_attention import Attention, Exchange
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.omics.feature_groups import group_options, match_gene_sets
from napari_mmsubtype.omics.gene_sets import GeneSet
from napari_mmsubtype.omics.preprocessing import fit_modality


def test_the_published_single_gene_token_is_blind_to_the_image():
    torch.manual_seed(0)
    published = PublishedCrossAttention(8, 1, {"rna": 20}).eval()
    bag = torch.randn(3, 7, 8, requires_grad=True)
    genes = torch.randn(3, 20, requires_grad=True)
    mask, present = torch.ones(3, 7) > 0, torch.ones(3, 2) > 0
    logits = published(bag, mask, {"rna": genes}, present).logits
    (to_image, to_genes) = torch.autograd.grad(logits.sum(), (bag, genes))
    assert not to_image.any()
    assert to_genes.any()
    other = published(torch.randn(3, 7, 8), mask, {"rna": genes}, present).logits
    torch.testing.assert_close(other, logits, rtol=0, atol=1e-6)


def test_ours_sees_the_image_even_with_a_single_omics_feature():
    torch.manual_seed(0)
    model = create_fusion(
        "cross_attention", dim=8, classes=2, omics={"rna": 20}, groups=1
    ).eval()
    bag = torch.randn(3, 7, 8, requires_grad=True)
    logits = model(
        bag,
        torch.ones(3, 7, dtype=torch.bool),
        {"rna": torch.randn(3, 20)},
        torch.ones(3, 2, dtype=torch.bool),
    ).logits
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), bag)
    assert (gradient.abs().amax(dim=2) > 1e-6).all()


def test_attention_agrees_with_torchs_own():
    torch.manual_seed(0)
    ours = Attention(16, 4, 0.0).eval()
    theirs = nn.MultiheadAttention(16, 4, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat([ours.query.weight, ours.key_value.weight])
        )
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    queries, keys = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    valid = torch.ones(2, 7, dtype=torch.bool)
    valid[0, 3:] = False
    expected, _ = theirs(queries, keys, keys, key_padding_mask=~valid)
    torch.testing.assert_close(ours(queries, keys, valid), expected)


def test_an_exchange_keeps_each_side_and_adds_the_other():
    torch.manual_seed(0)
    block = Exchange(16, 4, 0.0).eval()
    patches = torch.randn(1, 5, 16, requires_grad=True)
    omics = torch.randn(1, 3, 16, requires_grad=True)
    valid = torch.ones(1, 5, dtype=torch.bool)
    new_patches, new_omics = block(patches, valid, omics)
    for output in (new_patches, new_omics):
        gradients = torch.autograd.grad(
            output.sum(), (patches, omics), retain_graph=True
        )
        assert all(g.abs().max() > 1e-4 for g in gradients)
    # With nothing to exchange, a block leaves its tokens alone.
    with torch.no_grad():
        for attention in (block.to_omics, block.to_patches):
            attention.out.weight.zero_()
            attention.out.bias.zero_()
        for refine in (block.refine_patches, block.refine_omics):
            refine[-1].weight.zero_()
            refine[-1].bias.zero_()
    kept = block(patches, valid, omics)
    assert torch.equal(kept[0], patches)
    assert torch.equal(kept[1], omics)


def test_groups_are_learned_by_default_and_may_be_given():
    def model(**options):
        return create_fusion(
            "cross_attention",
            dim=8,
            classes=2,
            omics={"rna": 20, "methylation": 6, "clinical": 3},
            **options,
        )

    learned = model()
    assert learned.encoders["rna"].tokens == 16
    assert learned.missing["clinical"].shape == (1, 128)
    given = model(groups={"rna": [[0, 1, 2], [5, 6]], "methylation": 4})
    assert given.encoders["rna"].tokens == 2
    assert given.encoders["rna"].members.sum().item() == 5
    assert given.encoders["methylation"].tokens == 4


@pytest.mark.parametrize("rest", ["token", "learned"])
def test_gene_sets_become_tokens_that_move_the_output(rest):
    spec = fit_modality(log_frame(20), modality="rna", unit="log2(tpm+1)")
    sets = [
        GeneSet("luminal", "", ("ESR1", "PGR", "GATA3", "FOXA1")),
        GeneSet("basal", "", ("KRT5", "KRT14", "CDCA1", "EGFR")),
    ]
    match = match_gene_sets(sets, spec.features, min_size=3, rest=rest, learned=2)
    specs = {Modality.RNA: spec.with_groups(match.groups)}
    torch.manual_seed(0)
    model = create_fusion(
        "cross_attention",
        dim=8,
        classes=2,
        omics={"rna": len(spec)},
        groups=group_options(specs),
    ).eval()
    encoder = model.encoders["rna"]
    assert encoder.tokens == match.groups.tokens
    values = torch.randn(3, len(spec), requires_grad=True)
    tokens = encoder(values)
    for row, (name, members) in enumerate(
        zip(match.groups.names, match.groups.members, strict=True)
    ):
        (gradient,) = torch.autograd.grad(
            tokens[:, row].sum(), values, retain_graph=True
        )
        reached = gradient.abs().sum(dim=0).nonzero().flatten().tolist()
        assert reached == list(members)
        genes = {spec.names[i] for i in members}
        assert {"luminal": "ESR1", "basal": "NUF2", "rest": "VIM"}[name] in genes
    bag, mask = torch.randn(3, 5, 8), torch.ones(3, 5, dtype=torch.bool)
    logits = model(
        bag, mask, {"rna": values}, torch.ones(3, 2, dtype=torch.bool)
    ).logits
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), values)
    # Every gene, in a set or not, moves every patient's call.
    assert (gradient.abs() > 0).all()
    swapped = model(
        bag, mask, {"rna": values.flip(0)}, torch.ones(3, 2, dtype=torch.bool)
    ).logits
    assert (swapped - logits)[0].abs().max() > 1e-3


def test_width_must_suit_the_heads():
    with pytest.raises(ValueError, match="multiple of heads, found 30 and 4"):
        create_fusion("cross_attention", dim=8, classes=2, omics={}, width=30)
