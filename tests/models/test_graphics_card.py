"""What a card can do is asked before it fails at it."""

from threading import Barrier, Thread

import pytest
import torch

from napari_mmsubtype.models.graphics_card import (
    has_bfloat16,
    lacks_kernels,
    whole_float32,
)

CARD = torch.device("cuda:1")
BUILT = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120a"]


@pytest.fixture
def card(monkeypatch):
    def take(capability, built=BUILT):
        def told(device):
            assert device == CARD
            return capability

        monkeypatch.setattr(torch.cuda, "get_device_capability", told)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "GTX 1080")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)
        return CARD

    monkeypatch.setattr(torch.version, "hip", None)
    return take


@pytest.mark.parametrize(
    ("capability", "there"), [((7, 5), False), ((8, 0), True), ((12, 0), True)]
)
def test_bfloat16_counts_where_it_is_in_hardware(card, capability, there):
    assert has_bfloat16(card(capability)) is there


@pytest.mark.parametrize(
    ("capability", "built"),
    [
        ((7, 5), BUILT),
        ((8, 9), BUILT),
        ((9, 0), BUILT),
        ((10, 3), BUILT),
        ((12, 0), ["compute_90"]),
    ],
)
def test_code_for_its_generation_or_compiled_later_serves_a_card(
    card, capability, built
):
    assert lacks_kernels(card(capability, built)) == ""


@pytest.mark.parametrize(
    ("capability", "built"),
    [((6, 1), BUILT), ((7, 0), BUILT), ((12, 0), BUILT), ((8, 0), ["sm_86"])],
)
def test_a_card_that_pytorch_was_not_built_for_is_named(card, capability, built):
    told = lacks_kernels(card(capability, built))
    major, minor = capability
    assert f"for cuda:1, GTX 1080 of compute capability {major}.{minor}" in told
    assert told.endswith(", ".join(built))


def test_amd_cards_are_not_judged_by_these_numbers(card, monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert has_bfloat16(card((7, 0)))
    assert lacks_kernels(card((6, 1))) == ""


def flags():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


def test_products_are_whole_until_the_last_thread_has_done(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = flags()
    both, one_left = Barrier(2), Barrier(2)
    seen = []

    def other():
        with whole_float32():
            both.wait(10)
            one_left.wait(10)
            seen.append(flags())

    thread = Thread(target=other)
    with whole_float32():
        thread.start()
        both.wait(10)
        assert flags() == (False, False)
    one_left.wait(10)
    thread.join(10)
    assert seen == [(False, False)]
    assert flags() == (before[0], True)
