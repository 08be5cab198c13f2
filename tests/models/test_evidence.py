from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.registry import create_encoder

DIM = 6


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_fusion("evidence", dim=DIM, classes=2, omics={"rna": 4}).eval()


@pytest.fixture
def case():
    draw = torch.Generator().manual_seed(1)
    return (
        torch.rand(1, 9, DIM, generator=draw) + 1.0,
        torch.ones(1, 9, dtype=torch.bool),
        {"rna": torch.randn(1, 4, generator=draw)},
        torch.ones(1, 2, dtype=torch.bool),
    )


def test_evidence_is_weight_times_query_times_embedding(model, case):
    bag, _, omics, present = case
    output = model(*case)
    query = model.pixel_queries(omics, present)[0].detach().numpy()
    weights = output.weights[0].detach().numpy()
    expected = weights[:, None] * (bag[0].numpy() @ query.T)
    np.testing.assert_allclose(
        output.evidence[0].detach().numpy(), expected, rtol=1e-4, atol=1e-6
    )


def test_logits_are_bias_and_tables_and_patches(model, case):
    with torch.no_grad():
        model.bias.copy_(torch.tensor([0.4, -0.7]))
    output = model(*case)
    assert list(output.modality_logits) == ["bias", "image", "rna"]
    token = model.encoders["rna"](case[2]["rna"])
    expected = (
        torch.tensor([[0.4, -0.7]])
        + token @ model.heads["rna"].weight.T
        + output.evidence.sum(dim=1)
    )
    torch.testing.assert_close(output.logits, expected, rtol=1e-4, atol=1e-5)


def test_the_whole_model_in_numpy(case):
    torch.manual_seed(4)
    omics = {"rna": 4, "clinical": 3}
    model = create_fusion("evidence", dim=DIM, classes=2, omics=omics).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    model.set_reference(torch.linspace(0.5, 2, DIM), torch.linspace(0.3, 1, DIM))
    tables = {"rna": case[2]["rna"], "clinical": torch.randn(1, 3)}
    present = torch.tensor([[True, True, False]])
    output = model(case[0], case[1], tables, present)
    p = {name: value.detach().numpy() for name, value in model.named_parameters()}
    mean, scale = model.embedding_mean.numpy(), model.embedding_scale.numpy()
    h = case[0][0].numpy()

    def elu(x):
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))

    def dense(x, name):
        return p[f"{name}.weight"] @ x + p[f"{name}.bias"]

    rna = elu(dense(tables["rna"][0].numpy(), "encoders.rna.first"))
    rna = elu(dense(rna, "encoders.rna.second"))
    # The clinical table is absent: its learned token stands for it.
    o = np.concatenate([rna, p["missing.clinical"]])
    shift = p["attention.context.weight"] @ o
    seen = (h - mean) / scale
    value = seen @ p["attention.value.weight"].T + p["attention.value.bias"]
    gate = seen @ p["attention.gate.weight"].T + p["attention.gate.bias"]
    half = len(shift) // 2
    gated = np.tanh(value + shift[:half]) / (1 + np.exp(-gate - shift[half:]))
    scores = np.exp(gated @ p["attention.score.weight"][0])
    a = scores / scores.sum()
    q = p["query"] + (p["query_shift.weight"] @ o).reshape(2, DIM)
    center = mean / scale
    q = (q - np.outer(q @ center, center) / (center @ center)) / scale
    evidence = a[:, None] * (h @ q.T)
    logits = p["bias"] + p["heads.rna.weight"] @ rna + evidence.sum(axis=0)
    close = {"rtol": 1e-3, "atol": 1e-5}
    np.testing.assert_allclose(output.weights[0].detach().numpy(), a, **close)
    np.testing.assert_allclose(output.evidence[0].detach().numpy(), evidence, **close)
    np.testing.assert_allclose(output.logits[0].detach().numpy(), logits, **close)


def test_the_average_training_patch_is_no_evidence(model, case):
    bag, mask, omics, present = case
    mean, std = bag[0].mean(dim=0), bag[0].std(dim=0)
    model.set_reference(mean, std)
    output = model(mean.expand(1, 9, DIM), mask, omics, present)
    assert output.evidence.abs().max() < 1e-6
    # Evidence still depends on what deviates from the average.
    assert model(*case).evidence.abs().max() > 1e-4


def test_scale_of_the_encoder_does_not_matter_once_the_reference_is_set(model, case):
    bag, mask, omics, present = case
    mean, std = bag[0].mean(dim=0), bag[0].std(dim=0)
    model.set_reference(mean, std)
    before = model(*case)
    model.set_reference(1000 * mean, 1000 * std)
    after = model(1000 * bag, mask, omics, present)
    torch.testing.assert_close(before.logits, after.logits, rtol=1e-4, atol=1e-4)


def test_omics_change_both_where_it_looks_and_what_it_looks_for(model, case):
    bag, mask, omics, present = case
    other = {"rna": omics["rna"] + 3.0}
    queries = [model.pixel_queries(o, present) for o in (omics, other)]
    weights = [model(bag, mask, o, present).weights for o in (omics, other)]
    assert (queries[0] - queries[1]).abs().max() > 1e-4
    assert (weights[0] - weights[1]).abs().max() > 1e-4


def test_a_missing_table_gives_one_learned_query(model, case):
    _, _, omics, present = case
    absent = torch.tensor([[True, False]])
    other = {"rna": omics["rna"] + 3.0}
    first, second, third = (
        model.pixel_queries(omics, absent),
        model.pixel_queries(other, absent),
        model.pixel_queries({}, present),
    )
    assert torch.equal(first, second)
    assert torch.equal(first, third)


def test_pixels_of_a_real_feature_map_add_up_to_the_logits(case):
    torch.manual_seed(0)
    encoder = create_encoder("demo-cnn")
    model = create_fusion("evidence", dim=96, classes=2, omics={"rna": 4}).eval()
    patches = torch.randint(0, 256, (5, 128, 128, 3), dtype=torch.uint8)
    _, _, omics, present = case
    with torch.no_grad():
        maps = encoder.feature_map(encoder.normalize(patches))
        bag = maps.mean(dim=(2, 3))
        model.set_reference(bag.mean(dim=0), bag.std(dim=0))
        output = model(bag[None], torch.ones(1, 5, dtype=torch.bool), omics, present)
        query = model.pixel_queries(omics, present)[0]
        pixels = torch.einsum("n,cd,ndyx->ncyx", output.weights[0], query, maps) / 64
    torch.testing.assert_close(
        pixels.sum(dim=(2, 3)), output.evidence[0], rtol=1e-4, atol=1e-5
    )
    rest = output.modality_logits["bias"] + output.modality_logits["rna"]
    torch.testing.assert_close(
        pixels.sum(dim=(0, 2, 3)) + rest[0], output.logits[0], rtol=1e-4, atol=1e-5
    )


def test_it_learns_a_label_that_needs_image_and_table(case):
    # Label = sign of (patch feature 0 + gene 0): neither alone decides it.
    draw = torch.Generator().manual_seed(3)
    image, gene = torch.randn(2, 200, generator=draw)
    label = (image + gene > 0).long()
    bag = torch.randn(200, 5, DIM, generator=draw) * 0.3
    bag[:, :, 0] += image[:, None]
    omics = {"rna": torch.randn(200, 4, generator=draw)}
    omics["rna"][:, 0] = gene
    mask = torch.ones(200, 5, dtype=torch.bool)
    present = torch.ones(200, 2, dtype=torch.bool)
    torch.manual_seed(0)
    model = create_fusion(
        "evidence", dim=DIM, classes=2, omics={"rna": 4}, token_dim=16, dropout=0.0
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        logits = model(bag, mask, omics, present).logits
        torch.nn.functional.cross_entropy(logits, label).backward()
        optimizer.step()
    model.eval()

    def accuracy(use_image: bool, use_gene: bool) -> float:
        here = torch.tensor([[use_image, use_gene]] * 200)
        called = model(bag, mask, omics, here).logits.argmax(dim=1)
        return (called == label).float().mean().item()

    assert accuracy(True, True) > 0.95
    assert accuracy(True, False) < 0.85
    assert accuracy(False, True) < 0.85
