import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from napari_mmsubtype.core.cam_methods import CAM_METHODS
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference.cam import (
    class_activation,
    grad_cam_plus_plus,
    map_embedding,
    map_logits,
)
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.resvit import ResViTClassifier

THEIRS = {
    "grad-cam": GradCAM,
    "grad-cam++": GradCAMPlusPlus,
    "hires-cam": HiResCAM,
    "layer-cam": LayerCAM,
}
HEADS = {
    "linear on the mean": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    ),
    "dense on the mean": lambda: nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8), nn.GELU(),
        nn.Linear(8, 3),
    ),
    "linear on every cell": lambda: nn.Sequential(nn.Flatten(), nn.Linear(6 * 35, 3)),
    "dense on every cell": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(6 * 35, 8), nn.GELU(), nn.Linear(8, 3)
    ),
}  # fmt: skip


@pytest.fixture(params=HEADS)
def head(request):
    torch.manual_seed(0)
    return HEADS[request.param]()


@pytest.fixture
def body():
    torch.manual_seed(1)
    # Features of both signs, one cell per pixel: nothing is resized to compare.
    return nn.Conv2d(3, 6, 3, padding=1)


@pytest.fixture
def images():
    return torch.randn(4, 3, 5, 7, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("target", [0, 2])
@pytest.mark.parametrize("method", CAM_METHODS)
def test_after_its_normalisation_the_map_is_that_of_grad_cam(
    method, target, head, body, images
):
    # Their Grad-CAM++ adds 1e-6 to squared gradients: nothing beside large ones only.
    head[-1].weight.data *= 1000
    model = nn.Sequential(body, head)
    with THEIRS[method](model=model, target_layers=[body]) as theirs:
        expected = theirs(images, [ClassifierOutputTarget(target)] * 4)
    ours = map_logits(head, body(images), method)[:, target].numpy()
    assert (ours < 0).any()
    # It drops what speaks against the class and stretches each patch to 0..1, twice.
    scaled = scale_cam_image(scale_cam_image(np.maximum(ours, 0)))
    assert expected.max() > 0.9
    np.testing.assert_allclose(scaled, expected, atol=1e-4)


@pytest.mark.parametrize("method", CAM_METHODS)
def test_maps_from_the_gradient_of_the_mean_cell_are_those_through_the_head(
    method, body, images
):
    torch.manual_seed(0)
    head = HEADS["dense on the mean"]()
    features = body(images).detach()
    mean = features.mean(dim=(2, 3)).requires_grad_()
    logits = head[2:](mean)
    slopes = [
        torch.autograd.grad(logits[:, c].sum(), mean, retain_graph=True)[0]
        for c in range(3)
    ]
    found = map_embedding(features, torch.stack(slopes, dim=1), method)
    torch.testing.assert_close(found, map_logits(head, features, method))


def test_cam_of_a_linear_head_sums_to_the_logit_and_equals_three_methods(body, images):
    torch.manual_seed(0)
    head = HEADS["linear on the mean"]()
    features = body(images).detach()
    maps = class_activation(features, head[2].weight)
    total = maps.sum(dim=(2, 3)) + head[2].bias
    torch.testing.assert_close(total, head(features), rtol=1e-5, atol=1e-5)
    for method in ("grad-cam", "hires-cam"):
        torch.testing.assert_close(map_logits(head, features, method), maps)


def test_hires_cam_is_faithful_where_grad_cam_is_not(body, images):
    torch.manual_seed(0)
    head = HEADS["linear on every cell"]()
    features = body(images).detach()
    logits = head(features) - head[1].bias
    totals = {
        method: map_logits(head, features, method).sum(dim=(2, 3))
        for method in ("hires-cam", "grad-cam")
    }
    torch.testing.assert_close(totals["hires-cam"], logits, rtol=1e-4, atol=1e-5)
    assert (totals["grad-cam"] - logits).abs().max() > 0.1


def test_the_formulas_in_numpy():
    draw = np.random.default_rng(0)
    a, g = draw.normal(size=(2, 1, 4, 2, 3))
    expected = {
        "grad-cam": np.einsum("nk,nkyx->nyx", g.mean(axis=(2, 3)), a),
        "grad-cam++": published_plus_plus(a, g),
        "hires-cam": (g * a).sum(axis=1),
        "layer-cam": (np.maximum(g, 0) * a).sum(axis=1),
    }
    features, slope = torch.from_numpy(a), torch.from_numpy(g)

    class Straight(torch.autograd.Function):
        """A logit whose gradient is the one that was drawn."""

        @staticmethod
        def forward(ctx, given):
            return given.sum(dim=(1, 2, 3))[:, None]

        @staticmethod
        def backward(ctx, upstream):
            return upstream[:, :, None, None] * slope

    for method, value in expected.items():
        found = map_logits(Straight.apply, features, method)[:, 0].numpy()
        np.testing.assert_allclose(found, value)


def published_plus_plus(a, g):
    """Grad-CAM++ as it is printed; no gradient may be 0."""
    square = g**2
    share = square / (2 * square + g**3 * a.sum(axis=(2, 3), keepdims=True))
    weight = (share * np.maximum(g, 0)).sum(axis=(2, 3))
    return np.einsum("nk,nkyx->nyx", weight, a)


@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-6, 1e-10])
def test_grad_cam_plus_plus_is_the_published_one_for_gradients_of_any_size(size):
    # One patch of ten thousands moves a logit by 1e-4 to 1e-10 per feature.
    draw = np.random.default_rng(4)
    a = draw.normal(size=(3, 16, 4, 4))
    g = size * draw.normal(size=(3, 16, 4, 4))
    small = [torch.from_numpy(x).float() for x in (a, g)]
    found = grad_cam_plus_plus(*small).numpy() / size
    expected = published_plus_plus(*(x.numpy().astype(np.float64) for x in small))
    np.testing.assert_allclose(found, expected / size, rtol=1e-3, atol=1e-4)
    assert np.abs(expected / size).max() > 1


def test_small_gradients_make_grad_cam_plus_plus_linear_in_them():
    draw = np.random.default_rng(5)
    a, g = draw.normal(size=(2, 2, 8, 3, 3))
    features = torch.from_numpy(a)
    maps = [
        grad_cam_plus_plus(features, torch.from_numpy(size * g)).numpy() / size
        for size in (1e-6, 1e-9)
    ]
    # a = G^2 / 2 G^2 once G sum(A) is nothing beside 2.
    weight = np.maximum(g, 0).sum(axis=(2, 3)) / 2
    for found in maps:
        expected = np.einsum("nk,nkyx->nyx", weight, a)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_grad_cam_plus_plus_of_no_gradient_is_zero_and_divides_by_zero_nowhere():
    features = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    for gradients in (torch.zeros(2, 3, 4, 4), -torch.ones(2, 3, 1, 1)):
        assert not grad_cam_plus_plus(features, gradients).any()
    # The sum of the features times the gradient is just -2: 1 stands for the zero.
    cells = torch.full((1, 1, 2, 2), -0.5)
    found = grad_cam_plus_plus(cells, torch.ones(1, 1, 2, 2))
    assert found.tolist() == [[[-2.0, -2.0], [-2.0, -2.0]]]


def test_cam_of_resvit_is_exact_and_equals_the_gradient_methods():
    torch.manual_seed(0)
    tiny = {"cnn": "resnet18", "vit_dim": 16, "vit_depth": 4, "vit_heads": 2}
    encoder = create_encoder("resvit", input_size=64, dim=24, heads=2, **tiny)
    model = ResViTClassifier(encoder, 3).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = model(images)
        features = encoder.feature_map(images)
    maps = class_activation(features, model.head.weight).detach()
    torch.testing.assert_close(maps, found.evidence, rtol=1e-5, atol=1e-6)
    total = maps.sum(dim=(2, 3)) + model.head.bias
    torch.testing.assert_close(total, found.logits, rtol=1e-5, atol=1e-5)

    def head(cells):
        return model.head(cells.mean(dim=(2, 3)))

    for method in ("grad-cam", "hires-cam"):
        torch.testing.assert_close(
            map_logits(head, features, method), maps, rtol=1e-4, atol=1e-6
        )


def test_tokens_of_a_transformer_are_a_map_like_any_other():
    encoder = create_encoder("vit_s_16", input_size=64)
    with torch.no_grad():
        features = encoder.feature_map(torch.randn(1, 3, 64, 64))
    layer = nn.Linear(encoder.dim, 2)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), layer)
    maps = map_logits(head, features)
    assert maps.shape == (1, 2, encoder.cells, encoder.cells)
    torch.testing.assert_close(
        maps.sum(dim=(2, 3)) + layer.bias, head(features), rtol=1e-4, atol=1e-4
    )


def test_an_unknown_method_is_refused():
    features = torch.zeros(1, 2, 3, 3)
    with pytest.raises(ConfigurationError, match="unknown cam method"):
        map_embedding(features, torch.zeros(1, 1, 2), "score-cam")
    with pytest.raises(ConfigurationError, match="unknown cam method"):
        map_logits(lambda x: x.mean(dim=(2, 3)), features, "score-cam")
