from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_mmsubtype.models.fusion import create_fusion

OMICS = {"rna": 6, "clinical": 3}


def make(name, **options):
    torch.manual_seed(0)
    model = create_fusion(name, dim=5, classes=2, omics=OMICS, width=4, **options)
    tokens = torch.randn(3, 3, 4)
    present = torch.tensor([[True, True, True], [True, False, True], [False] * 3])
    p = {key: value.detach().numpy() for key, value in model.named_parameters()}
    found = model.eval()._join(tokens, present).detach().numpy()
    return found, tokens.numpy(), present.numpy().astype(float), p


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_concatenation_is_a_dense_network_on_tokens_and_presence():
    found, tokens, present, p = make("feature_concat", hidden=7)
    joined = np.concatenate([tokens.reshape(3, 12), present], axis=1)
    x = torch.from_numpy(joined @ p["head.0.weight"].T + p["head.0.bias"])
    hidden = torch.nn.functional.gelu(x).numpy()
    expected = hidden @ p["head.3.weight"].T + p["head.3.bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_gates_see_all_tokens_and_their_presence():
    found, tokens, present, p = make("gated")
    joined = np.concatenate([tokens.reshape(3, 12), present], axis=1)
    gates = sigmoid(joined @ p["gates.weight"].T + p["gates.bias"]).reshape(3, 3, 4)
    total = sum(
        gates[:, m]
        * np.tanh(tokens[:, m] @ p[f"values.{m}.weight"].T + p[f"values.{m}.bias"])
        for m in range(3)
    )
    expected = total @ p["head.weight"].T + p["head.bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_low_rank_product_is_the_outer_product_contracted():
    found, tokens, _, p = make("bilinear", rank=2, features=6)
    # The full tensor over (token, 1) of each modality, contracted with all three.
    factors = np.concatenate([p["factors"], p["offsets"][..., None]], axis=3)
    tensor = np.einsum("r,rfa,rfb,rfc->fabc", p["rank_weights"], *factors)
    padded = np.concatenate([tokens, np.ones((3, 3, 1))], axis=2)
    product = np.einsum("fabc,na,nb,nc->nf", tensor, *padded.transpose(1, 0, 2))
    center = product - product.mean(axis=1, keepdims=True)
    normal = center / np.sqrt(product.var(axis=1, keepdims=True) + 1e-5)
    normal = normal * p["norm.weight"] + p["norm.bias"]
    expected = normal @ p["head.weight"].T + p["head.bias"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("rank", "features"), [(0, 3), (2, 0)])
def test_impossible_ranks_are_refused(rank, features):
    with pytest.raises(ValueError, match="rank and features must be positive"):
        make("bilinear", rank=rank, features=features)
