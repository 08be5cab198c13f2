import numpy as np
import pytest
import torch

from builders.stores import begin_store
from napari_mmsubtype.inference import cohort_encoder, fused_graph
from napari_mmsubtype.inference.cohort_encoder import fuse_for_cohort, keep_as_begun
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.fused_choice import FACT
from napari_mmsubtype.inference.fused_graph import FusedConv, FusedEncoder, can_fuse
from napari_mmsubtype.inference.packed_encoder import PackedEncoder
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.results.store_writer import StoreWriter

LOW = Processor(torch.device("cpu"), torch.bfloat16)
SIZE = 32

pytestmark = pytest.mark.skipif(
    not can_fuse(), reason="this build of PyTorch has no oneDNN operations"
)


def make(name="resnet18", processor=LOW):
    torch.manual_seed(0)
    return prepare(create_encoder(name, input_size=SIZE), processor)


@pytest.fixture
def writer(tmp_path):
    return begin_store(tmp_path)


def begin(writer):
    writer.write_patches(0, np.ones(1, np.uint8), np.ones((1, 5)), None)


def fact_of(writer):
    return StoreWriter(writer.path).attributes["provenance"].get(FACT)


@pytest.mark.parametrize(
    ("name", "kind"), [("resnet18", FusedEncoder), ("timm:test_vit", PackedEncoder)]
)
def test_steps_are_fused_or_keep_their_weights_in_order(name, kind):
    encoder = make(name)
    made = fuse_for_cohort(encoder, LOW)
    assert type(made) is kind
    assert made.plain is encoder
    with torch.inference_mode(), LOW.autocasting():
        images = torch.randn(3, 3, SIZE, SIZE)
        images = images.contiguous(memory_format=torch.channels_last)
        found, expected = made(images).float(), encoder(images).float()
    assert (found - expected).norm() <= 0.02 * expected.norm()


def test_float32_and_gpus_and_what_cannot_be_fused_are_left_alone():
    whole = LOW.in_float32()
    encoder = make(processor=whole)
    assert fuse_for_cohort(encoder, whole) is encoder
    assert fuse_for_cohort(encoder, Processor(torch.device("cuda"), None)) is encoder
    demo = make("demo-cnn")
    assert fuse_for_cohort(demo, LOW) is demo


@pytest.mark.parametrize("factor", [1.1, float("nan")])
def test_other_numbers_are_not_taken(monkeypatch, caplog, factor):
    real = FusedConv.forward
    monkeypatch.setattr(FusedConv, "forward", lambda *a: factor * real(*a))
    encoder = make()
    assert fuse_for_cohort(encoder, LOW) is encoder
    assert "gives other numbers with its steps fused" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, TypeError])
def test_what_fails_when_fused_runs_as_it_is(monkeypatch, caplog, error):
    def fail(self, images):
        raise error("the operation takes other arguments")

    caplog.set_level("INFO")
    monkeypatch.setattr(FusedEncoder, "feature_map", fail)
    encoder = make()
    assert fuse_for_cohort(encoder, LOW) is encoder
    assert "resnet18 runs as it is: fused, it fails: the operation" in caplog.text


def test_a_slide_says_how_it_was_begun_and_goes_on_so(writer):
    made = fuse_for_cohort(make(), LOW)
    assert keep_as_begun(made, writer, LOW) is made
    assert fact_of(writer) == made.steps == 20
    begin(writer)
    assert keep_as_begun(made, writer, LOW) is made


def test_a_slide_that_was_begun_in_plain_steps_goes_on_in_them(writer):
    begin(writer)
    made = fuse_for_cohort(make(), LOW)
    assert keep_as_begun(made, writer, LOW) is made.plain
    assert fact_of(writer) is None


@pytest.mark.parametrize("begun", [True, False])
def test_without_the_operations_a_run_goes_on_and_says_so(
    writer, monkeypatch, caplog, begun
):
    if begun:
        keep_as_begun(fuse_for_cohort(make(), LOW), writer, LOW)
        begin(writer)
    monkeypatch.setattr(fused_graph, "_OPERATION", "_convolution_pointwise_of_2030")
    monkeypatch.setattr(cohort_encoder, "pack_encoder", lambda _: None)
    encoder = make()
    plain = fuse_for_cohort(encoder, LOW)
    assert plain is encoder
    assert keep_as_begun(plain, writer, LOW) is encoder
    assert ("was begun in fused steps" in caplog.text) == begun
