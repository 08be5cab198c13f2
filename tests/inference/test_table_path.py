import itertools

import numpy as np
import pytest
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.inference import table_path
from napari_mmsubtype.inference.fuse import CaseTensors
from napari_mmsubtype.inference.table_path import POINTS, PathPart, TablePath
from napari_mmsubtype.models.fusion import create_fusion

CLASSES, DIM = 3, 6


@pytest.fixture(params=["evidence", "gated", "cross_attention"])
def case(request):
    torch.manual_seed(3)
    sizes = {"rna": 9, "clinical": 4}
    model = create_fusion(request.param, dim=DIM, classes=CLASSES, omics=sizes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    draw = np.random.default_rng(2)
    return CaseTensors(
        model, {Modality(m): draw.normal(size=g) for m, g in sizes.items()}
    )


@pytest.fixture
def path(case):
    embeddings = np.random.default_rng(1).normal(size=(7, DIM)).astype(np.float16)
    return TablePath(case, embeddings, {"rna": torch.full((9,), 0.1)})


def test_it_leads_from_the_baseline_to_the_patient(case, path):
    def logits(rna):
        tables = {**case.omics, "rna": rna}
        mask = torch.ones(1, 7, dtype=torch.bool)
        with torch.no_grad():
            present = case.present(case.available)
            return case.model(path.bag, mask, tables, present).logits[0]

    torch.testing.assert_close(path.at(0.0), logits(torch.full((1, 9), 0.1)))
    torch.testing.assert_close(path.at(1.0), logits(case.omics["rna"]))
    halfway = (case.omics["rna"] + 0.1) / 2
    torch.testing.assert_close(path.at(0.5), logits(halfway))


def test_one_run_gives_the_gradient_of_every_class(case, path):
    points = torch.randn(2, 9)
    rows = points.repeat_interleave(CLASSES, dim=0).requires_grad_()
    values = path(rows)
    (slopes,) = torch.autograd.grad(values.sum(), rows)
    for s in range(2):
        for c in range(CLASSES):
            own = points[s : s + 1].clone().requires_grad_()
            mask = torch.ones(1, 7, dtype=torch.bool)
            tables = {**case.omics, "rna": own}
            logits = case.model(path.bag, mask, tables, path.present).logits
            (expected,) = torch.autograd.grad(logits[0, c], own)
            at = s * CLASSES + c
            torch.testing.assert_close(values[at], logits[0, c], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(slopes[at], expected[0], rtol=1e-4, atol=1e-5)


def test_parts_join_to_the_whole(path):
    halves = [path.part(0.0, 0.5), path.part(0.5, 1.0)]
    quarters = [path.part(k / 4, (k + 1) / 4) for k in range(4)]
    for parts in (halves, quarters):
        total = sum(part.values[0].sum(dim=1) for part in parts)
        gap = (total - (path.at(1.0) - path.at(0.0))).abs().max()
        assert gap <= sum(part.gap for part in parts) + 1e-6


def test_parts_are_divided_where_the_gap_is_until_it_is_small(path):
    first = path.part(0.0, 1.0)
    limit = max(first.gap / 20, 1e-6)
    parts = path.refine([first], limit, 20 * POINTS)
    ends = sorted((part.start, part.end) for part in parts)
    assert ends[0][0] == 0
    assert ends[-1][1] == 1
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))
    assert len(parts) > 1
    assert sum(part.gap for part in parts) <= limit


def test_no_more_points_are_taken_than_are_left(path):
    first = path.part(0.0, 1.0)
    assert path.refine([first], 0.0, 2 * POINTS - 1) == [first]
    assert len(path.refine([first], 0.0, 4 * POINTS)) == 3
    exact = PathPart(0.0, 1.0, first.values, 0.0)
    assert path.refine([exact], 0.0, 99 * POINTS) == [exact]


def test_passes_over_a_large_bag_are_split_without_changing_the_numbers(
    path, monkeypatch
):
    sizes = []
    run = path.model.forward

    def counted(bag, *others):
        sizes.append(len(bag))
        return run(bag, *others)

    monkeypatch.setattr(path.model, "forward", counted)
    at_once = path.part(0.0, 1.0)
    assert POINTS in sizes
    sizes.clear()
    monkeypatch.setattr(table_path, "_MAX_FLOATS", 1)
    split = path.part(0.0, 1.0)
    # What encodes the image once for all points is not split.
    assert max(sizes) == (POINTS if path.model.image_apart else 1)
    torch.testing.assert_close(split.values[0], at_once.values[0], rtol=1e-4, atol=1e-6)
