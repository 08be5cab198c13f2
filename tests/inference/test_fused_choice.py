import json

import numpy as np
import pytest
import torch

from builders.patches import RandomPatches
from builders.stores import begin_store
from napari_mmsubtype.inference import fused_choice, fused_graph
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.fused_choice import FACT, FILE_NAME, choose_encoder
from napari_mmsubtype.inference.fused_graph import FusedEncoder, can_fuse
from napari_mmsubtype.inference.known_numbers import KnownNumbers
from napari_mmsubtype.inference.packed_encoder import PackedEncoder
from napari_mmsubtype.inference.trial import Trial, sample_patches, try_patches
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.results.store_writer import StoreWriter

CPU = Processor(torch.device("cpu"), None)
SIZE = 32

pytestmark = pytest.mark.skipif(
    not can_fuse(), reason="this build of PyTorch has no oneDNN operations"
)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return prepare(create_encoder("resnet18", input_size=SIZE), CPU)


@pytest.fixture
def writer(tmp_path):
    return begin_store(tmp_path)


@pytest.fixture
def clock(monkeypatch, tmp_path):
    """What a patch takes, plain and fused; and a cache folder of its own."""
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    seconds = {"plain": 0.1, "fused": 0.08}
    real = fused_choice.try_patches

    def timed(encoder, patches, processor):
        kind = "fused" if isinstance(encoder, FusedEncoder) else "plain"
        seconds["tried"] = [*seconds.get("tried", []), kind]
        return real(encoder, patches, processor)[0], seconds[kind]

    monkeypatch.setattr(fused_choice, "try_patches", timed)
    return seconds


def choose(encoder, writer, count=900, processor=CPU, trial=None):
    source = RandomPatches(count, SIZE)
    return choose_encoder(encoder, source, writer, processor, trial=trial)


def begin(writer):
    writer.write_patches(0, np.ones(1, np.uint8), np.ones((1, 5)), None)


def test_a_long_slide_is_run_in_fused_steps_and_says_so(encoder, writer, clock):
    fused = choose(encoder, writer)
    assert isinstance(fused, FusedEncoder)
    assert StoreWriter(writer.path).attributes["provenance"][FACT] == fused.steps == 20


def test_a_short_slide_does_not_repay_the_trial(encoder, writer, clock):
    assert choose(encoder, writer, count=213) is encoder
    assert "tried" not in clock
    assert isinstance(choose(encoder, writer, count=214), FusedEncoder)


@pytest.mark.parametrize(("tiles", "fewest"), [(False, 800), (True, 107)])
def test_with_tiles_short_slides_repay_it_too(
    encoder, writer, clock, monkeypatch, tiles, fewest
):
    monkeypatch.setattr(fused_choice, "has_tiles", lambda: tiles)
    low = Processor(torch.device("cpu"), torch.bfloat16)
    assert choose(encoder, writer, count=fewest - 1, processor=low) is encoder
    assert isinstance(choose(encoder, writer, fewest, low), FusedEncoder)


def test_what_was_tried_before_is_not_tried_again(encoder, writer, clock):
    patches = sample_patches(RandomPatches(400, SIZE))
    known = Trial(patches, try_patches(encoder, patches, CPU)[0], 0.1)
    assert choose(encoder, writer, count=106, trial=known) is encoder
    fused = choose(encoder, writer, count=107, trial=known)
    assert isinstance(fused, FusedEncoder)
    assert clock["tried"] == ["fused"]


@pytest.mark.parametrize(("fused_s", "taken"), [(0.112, False), (0.108, True)])
def test_the_measurement_decides_and_is_remembered(
    encoder, writer, clock, fused_s, taken
):
    clock["fused"] = fused_s
    assert (choose(encoder, writer) is not encoder) == taken
    # Slower is believed when it was seen twice.
    assert clock["tried"] == ["plain", "fused"] * (1 if taken else 2)
    # What does not pay is not tried again; what does is compared again.
    assert (choose(encoder, writer) is not encoder) == taken
    assert len(clock["tried"]) == 4


def test_one_slow_moment_of_the_machine_decides_nothing(encoder, writer, clock):
    slow = iter([0.2, 0.08])
    timed = fused_choice.try_patches

    def once(encoder, patches, processor):
        rows, seconds = timed(encoder, patches, processor)
        return rows, next(slow) if isinstance(encoder, FusedEncoder) else seconds

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_choice, "try_patches", once)
        assert isinstance(choose(encoder, writer), FusedEncoder)
    kept = (fused_choice.KnownNumbers.of_user(FILE_NAME)._path).read_text()
    (value,) = (entry["value"] for entry in json.loads(kept).values())
    assert value == pytest.approx(0.8)


def test_numbers_of_another_precision_or_count_of_threads_are_others(
    encoder, writer, clock
):
    clock["fused"] = 0.2
    assert choose(encoder, writer) is encoder
    text = (fused_choice.KnownNumbers.of_user(FILE_NAME)._path).read_text()
    (key,) = (word for word in text.split('"') if "resnet18" in word)
    for part in ("cpu", f"{SIZE} px", f"{torch.get_num_threads()} CPUs", "float32"):
        assert part in key
    assert KnownNumbers.of_user(FILE_NAME).find(key) == pytest.approx(2.0)


@pytest.mark.parametrize("lowered", [None, torch.bfloat16])
def test_other_numbers_are_not_taken(
    encoder, writer, clock, lowered, monkeypatch, caplog
):
    timed = fused_choice.try_patches

    def changed(network, patches, processor):
        rows, seconds = timed(network, patches, processor)
        if isinstance(network, FusedEncoder):
            rows = rows + 0.1 * rows.std() * np.sign(np.sin(np.arange(rows.size)))[
                : rows.size
            ].reshape(rows.shape)
        return rows, seconds

    monkeypatch.setattr(fused_choice, "try_patches", changed)
    processor = Processor(CPU.device, lowered)
    assert choose(encoder, writer, processor=processor) is encoder
    assert "other numbers" in caplog.text
    assert FACT not in writer.attributes["provenance"]


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, TypeError])
def test_what_fails_when_fused_runs_as_it_is(
    encoder, writer, clock, monkeypatch, caplog, error
):
    def fail(self, images):
        raise error("the operation takes other arguments")

    caplog.set_level("INFO")
    monkeypatch.setattr(FusedEncoder, "feature_map", fail)
    assert choose(encoder, writer) is encoder
    assert "resnet18 runs as it is: fused, it fails: the operation" in caplog.text
    assert FACT not in writer.attributes["provenance"]


@pytest.mark.parametrize("begun", [True, False])
def test_without_the_operations_a_run_goes_on_and_says_so(
    encoder, writer, clock, monkeypatch, caplog, begun
):
    if begun:
        choose(encoder, writer)
        begin(writer)
    caplog.set_level("INFO")
    caplog.clear()
    monkeypatch.setattr(fused_graph, "_OPERATION", "_convolution_pointwise_of_2030")
    assert choose(encoder, writer) is encoder
    assert "has no mkldnn._convolution_pointwise_of_2030" in caplog.text
    assert ("was begun in fused steps" in caplog.text) == begun


@pytest.mark.parametrize("was_fused", [True, False])
def test_a_run_that_is_resumed_goes_on_as_it_was_begun(
    encoder, writer, clock, was_fused
):
    if was_fused:
        assert choose(encoder, writer) is not encoder
    begin(writer)
    clock.update(plain=0.1, fused=0.2 if was_fused else 0.01)
    assert isinstance(choose(encoder, writer), FusedEncoder) == was_fused


@pytest.mark.parametrize(("tried", "fewest"), [(False, 1067), (True, 534)])
def test_a_transformer_keeps_its_weights_in_order_in_long_slides(
    writer, clock, monkeypatch, tried, fewest
):
    monkeypatch.setattr(fused_choice, "has_tiles", lambda: True)
    low = Processor(CPU.device, torch.bfloat16)
    torch.manual_seed(0)
    encoder = prepare(create_encoder("timm:test_vit", input_size=SIZE), low)
    patches = sample_patches(RandomPatches(fewest, SIZE))
    rows = try_patches(encoder, patches, low)[0]
    trial = Trial(patches, rows, 0.1) if tried else None
    assert choose(encoder, writer, fewest - 1, low, trial) is encoder
    assert "tried" not in clock
    packed = choose(encoder, writer, fewest, low, trial)
    assert isinstance(packed, PackedEncoder)
    assert StoreWriter(writer.path).attributes["provenance"][FACT] == packed.steps
    begin(writer)
    assert isinstance(choose(encoder, writer, 20, low), PackedEncoder)


def test_a_gpu_is_left_alone(encoder, writer, clock):
    gpu = Processor(torch.device("cuda"), torch.bfloat16)
    assert choose(encoder, writer, processor=gpu) is encoder
    assert "tried" not in clock
