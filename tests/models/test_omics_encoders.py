from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import erf

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.omics_encoders import (
    ClinicalMLP,
    GroupTokens,
    SelfNormalizing,
    vector_encoder,
)


def elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def test_self_normalizing_network_follows_its_formula():
    torch.manual_seed(0)
    net = SelfNormalizing(7, 3, hidden=5).eval()
    p = {name: value.detach().numpy() for name, value in net.named_parameters()}
    x = torch.randn(4, 7)
    hidden = elu(x.numpy() @ p["first.weight"].T + p["first.bias"])
    expected = elu(hidden @ p["second.weight"].T + p["second.bias"])
    np.testing.assert_allclose(net(x).detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_thousands_of_features_keep_the_token_at_unit_scale():
    torch.manual_seed(0)
    token = SelfNormalizing(5_000, 64).eval()(torch.randn(50, 5_000))
    assert 0.3 < token.std().item() < 1.5


def test_clinical_network_follows_its_formula():
    torch.manual_seed(0)
    net = ClinicalMLP(6, 3, hidden=5).eval()
    with torch.no_grad():
        net.layers[1].weight.normal_()
        net.layers[1].bias.normal_()
    p = {name: value.detach().numpy() for name, value in net.named_parameters()}
    # A number, three of a category and an indicator of each that is missing.
    x = np.array([[0.4, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]], np.float32)
    hidden = x @ p["layers.0.weight"].T + p["layers.0.bias"]
    centered = hidden - hidden.mean(axis=1, keepdims=True)
    spread = np.sqrt((centered**2).mean(axis=1, keepdims=True) + 1e-5)
    hidden = centered / spread * p["layers.1.weight"] + p["layers.1.bias"]
    hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
    expected = hidden @ p["layers.4.weight"].T + p["layers.4.bias"]
    found = net(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("modality", "kind"),
    [
        (Modality.RNA, SelfNormalizing),
        (Modality.METHYLATION, SelfNormalizing),
        (Modality.CLINICAL, ClinicalMLP),
    ],
)
def test_each_modality_gets_its_network(modality, kind):
    net = vector_encoder(modality, 6, 8)
    assert isinstance(net, kind)
    assert net(torch.randn(3, 6)).shape == (3, 8)


def test_learned_memberships_share_every_feature_out():
    torch.manual_seed(0)
    net = GroupTokens(11, 4, groups=3)
    assert net.tokens == 3
    torch.testing.assert_close(net.memberships().sum(dim=0), torch.ones(11))
    assert net(torch.randn(2, 11)).shape == (2, 3, 4)


def test_a_given_group_sees_its_own_features_only():
    torch.manual_seed(0)
    net = GroupTokens(6, 4, groups=[[0, 1], [1, 4, 5]]).eval()
    values = torch.randn(1, 6, requires_grad=True)
    for row, members in enumerate(([0, 1], [1, 4, 5])):
        (gradient,) = torch.autograd.grad(net(values)[0, row].sum(), values)
        assert gradient[0].nonzero().flatten().tolist() == members


def test_group_tokens_follow_their_formula():
    torch.manual_seed(0)
    net = GroupTokens(6, 4, groups=2, hidden=3).eval()
    x = torch.randn(1, 6)
    share = net.memberships().detach().numpy() * 2
    first, second = net.first.detach().numpy(), net.second.detach().numpy()
    expected = [
        elu(second[k] @ elu(first[k] @ (share[k] * x[0].numpy()))) for k in (0, 1)
    ]
    np.testing.assert_allclose(net(x)[0].detach().numpy(), expected, rtol=1e-4)


def test_features_in_no_group_reach_the_learned_groups_only():
    torch.manual_seed(0)
    groups = {"members": [[0, 1], [1, 4]], "learned": 2}
    net = GroupTokens(7, 4, groups=groups).eval()
    assert net.tokens == 4
    share = net.memberships()
    assert share[:2].nonzero().tolist() == [[0, 0], [0, 1], [1, 1], [1, 4]]
    torch.testing.assert_close(
        share[2:].sum(dim=0), torch.tensor([0.0, 0, 1, 1, 0, 1, 1])
    )
    values = torch.randn(1, 7, requires_grad=True)
    tokens = net(values)
    assert tokens.shape == (1, 4, 4)
    for row, members in enumerate(([0, 1], [1, 4], [2, 3, 5, 6], [2, 3, 5, 6])):
        (gradient,) = torch.autograd.grad(
            tokens[0, row].sum(), values, retain_graph=True
        )
        assert gradient[0].nonzero().flatten().tolist() == members
    (gradient,) = torch.autograd.grad(tokens.sum(), net.membership)
    assert gradient[:, [2, 3, 5, 6]].any()
    assert not gradient[:, [0, 1, 4]].any()


def test_tokens_of_both_kinds_start_at_one_scale():
    torch.manual_seed(0)
    groups = {"members": [list(range(40))], "learned": 1}
    net = GroupTokens(400, 64, groups=groups).eval()
    scale = net(torch.randn(200, 400)).std(dim=(0, 2))
    assert 0.5 < scale[0] / scale[1] < 2


@pytest.mark.parametrize(
    "groups",
    [
        0,
        [],
        [[0], []],
        [[0, 6]],
        [[-1]],
        {"members": [[0]]},
        {"members": [list(range(6))], "learned": 2},
        {"members": [[0]], "learned": -1},
    ],
)
def test_impossible_groups_are_refused(groups):
    with pytest.raises(ValueError, match="group"):
        GroupTokens(6, 4, groups=groups)
