"""Pools of maxima, faster than PyTorch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from napari_mmsubtype.inference.max_pool import SeparableMaxPool, find_max_pool


def maps(kind, *shape):
    draw = torch.Generator().manual_seed(0)
    numbers = torch.randint(0, 256, shape, generator=draw, dtype=torch.uint8)
    numbers = numbers.contiguous(memory_format=torch.channels_last)
    # Steps that bfloat16 rounds, and many zeros.
    values = (numbers.float() / 7 - 9).relu()
    return numbers if kind is torch.uint8 else values.to(kind)


def expected(pool, images):
    return pool(images.float()).to(images.dtype)


KINDS = [torch.uint8, torch.bfloat16, torch.float32]


@given(
    kind=st.sampled_from(KINDS),
    size=st.integers(1, 5),
    stride=st.integers(1, 5),
    ceil=st.booleans(),
    sides=st.tuples(st.integers(5, 13), st.integers(5, 13)),
    data=st.data(),
)
def test_the_largest_are_those_of_pytorch(kind, size, stride, ceil, sides, data):
    border = data.draw(st.integers(0, size // 2))
    pool = nn.MaxPool2d(size, stride, border, ceil_mode=ceil)
    images = maps(kind, 2, 3, *sides)
    before = images.clone()
    found = SeparableMaxPool(pool)(images)
    assert found.dtype is kind
    assert torch.equal(found, expected(pool, images))
    assert torch.equal(images, before)


@pytest.mark.parametrize("kind", KINDS)
def test_sides_may_differ(kind):
    pool = nn.MaxPool2d((2, 3), (1, 2), (0, 1))
    images = maps(kind, 1, 2, 7, 8)
    assert torch.equal(SeparableMaxPool(pool)(images), expected(pool, images))


@pytest.mark.parametrize("kind", KINDS)
def test_channels_stay_last(kind):
    images = maps(kind, 2, 16, 12, 12)
    found = SeparableMaxPool(nn.MaxPool2d(3, 2, 1))(images)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_infinity_and_what_is_no_number_pass():
    images = maps(torch.bfloat16, 1, 2, 6, 6)
    images[0, 0, 2, 2], images[0, 1, 4, 4] = torch.inf, torch.nan
    pool = nn.MaxPool2d(3, 2, 1)
    found = SeparableMaxPool(pool)(images)
    torch.testing.assert_close(found, pool(images), rtol=0, atol=0, equal_nan=True)
    assert found.isinf().any()
    assert found.isnan().any()


def test_pools_are_told_from_other_steps():
    pool = nn.MaxPool2d(3, 2, dilation=(1, 1))
    assert find_max_pool(pool) is pool
    assert find_max_pool(SeparableMaxPool(pool)) is pool
    others = [
        None,
        nn.MaxPool2d(3, 2, dilation=2),
        nn.MaxPool2d(3, 2, return_indices=True),
        nn.AvgPool2d(3),
    ]
    assert [find_max_pool(other) for other in others] == [None] * 4
