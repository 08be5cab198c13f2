"""The encoder of a fold learns from its training patients, once, and is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from builders.tiles import SETTINGS, write_tiles
from napari_mmsubtype.workflows import fold_encoder
from napari_mmsubtype.workflows.cohort_request import make_request
from napari_mmsubtype.workflows.cohort_setup import open_cohort_job
from napari_mmsubtype.workflows.fold_data import prepare_fold
from napari_mmsubtype.workflows.fold_encoder import (
    fold_input_job,
    labels_of,
    with_encoder,
)
from napari_mmsubtype.workflows.fold_fusion import SkippedFoldError, shuffled_cases
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import fusion_variants


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A cohort of tiles whose pixels are read, for all who train on them."""
    folder = tmp_path_factory.mktemp("tiles")
    return open_tiles(folder)


@pytest.fixture
def opened(shared, tmp_path):
    """The same, with encoders in a folder of the test's own."""
    request, found = shared
    return replace(request, out=tmp_path), found


def open_tiles(folder, *changes, patients=12):
    request = make_request(
        write_tiles(folder / "tiles", patients, 1),
        "evidence",
        out=folder / "out",
        overrides=[*SETTINGS, *changes],
        mpp=0.5,
        device="cpu",
    )
    return request, run_job(open_cohort_job(request))


def fit(request, found, **options):
    (entry,) = found.inputs
    split = options.pop("split", None)
    split = split or plan_folds(found.cohort, entry.preset.validation).splits[0]
    job = fold_input_job(
        request, found.cohort, entry, entry.preset, split,
        **{"place": "fold-0-0", **options},
    )  # fmt: skip
    return run_job(job), split


def state(entry):
    values = entry.encoder.state_dict().values()
    return torch.cat([v.flatten().double() for v in values])


def test_a_fold_has_an_encoder_and_embeddings_of_its_own(opened, tmp_path):
    request, found = opened
    (entry,) = found.inputs
    before = state(entry)
    own, split = fit(request, found)
    assert torch.equal(state(entry), before)
    assert not torch.equal(state(own), before)
    assert not own.encoder.training
    counts = np.array([len(bag) for bag in entry.bags])
    assert own.training["patches"] == counts[split.train].sum()
    assert own.training["validation_patches"] == counts[split.validation].sum()
    assert 1 <= own.training["epochs"] <= 3
    assert len(own.training["validation_losses"]) == own.training["epochs"]
    assert [len(bag) for bag in own.bags] == counts.tolist()
    first, second = np.asarray(entry.bags[0]), np.asarray(own.bags[0])
    assert not np.allclose(first, second)
    folder = tmp_path / "encoders" / "evidence" / "fold-0-0"
    assert len(list((folder / "embeddings" / "bags").glob("*.npy"))) == 12
    assert [path.suffix for path in folder.glob("*.*")] == [".safetensors"]


def test_what_is_done_is_taken_from_disk(opened, tmp_path, monkeypatch):
    request, found = opened
    first, _ = fit(request, found)

    def refuse(*_, **__):
        msg = "trained again"
        raise AssertionError(msg)

    monkeypatch.setattr(fold_encoder, "fit_patch_encoder", refuse)
    again, split = fit(request, found)
    assert torch.equal(state(again), state(first))
    assert again.training == first.training
    for one, other in zip(first.bags, again.bags, strict=True):
        np.testing.assert_array_equal(one, other)
    (entry,) = found.inputs
    with pytest.raises(AssertionError, match="trained again"):
        fit(request, found, split=replace(split, validation=split.test[:2]))
    seeded = entry.preset.with_seed(5)
    with pytest.raises(AssertionError, match="trained again"):
        run_job(
            fold_input_job(
                request, found.cohort, entry, seeded, split, place="fold-0-0"
            )
        )


def test_test_patients_do_not_reach_the_encoder(opened, tmp_path):
    request, found = opened
    own, split = fit(request, found)
    labels = found.cohort.labels.copy()
    labels[split.test] = 1 - labels[split.test]
    (entry,) = found.inputs
    files = dict(entry.pixels.files)
    for row in split.test:
        (slide,) = found.cohort.manifest.patients[row].slides
        pixels = np.load(files[slide.path])
        files[slide.path] = tmp_path / f"{row}.npy"
        np.save(files[slide.path], 255 - pixels)
    found = replace(
        found, inputs=(replace(entry, pixels=replace(entry.pixels, files=files)),)
    )
    other, _ = fit(request, found, place="other", labels=labels)
    assert torch.equal(state(own), state(other))
    labels[split.train] = 1 - labels[split.train]
    third, _ = fit(request, found, place="third", labels=labels)
    assert not torch.equal(state(own), state(third))


def test_a_stopped_training_goes_on_to_the_same_encoder(opened, tmp_path, monkeypatch):
    request, found = opened
    (entry,) = found.inputs
    whole, split = fit(request, found, place="whole")
    job = fold_input_job(
        request, found.cohort, entry, entry.preset, split, place="parts"
    )
    while next(job).stage != "patch training":
        pass
    job.close()
    folder = tmp_path / "encoders" / "evidence" / "parts"
    (begun,) = folder.iterdir()
    assert begun.name.startswith("training-encoder-")
    events = []
    job = fold_input_job(
        request, found.cohort, entry, entry.preset, split, place="parts"
    )
    parts = run_job(job, events.append)
    assert events[0].message == "going on after epoch 1, step 0"
    assert torch.equal(state(parts), state(whole))
    assert not begun.exists()


def test_an_encoder_of_other_settings_takes_the_place_of_the_old(opened, tmp_path):
    request, found = opened
    fit(request, found)
    folder = tmp_path / "encoders" / "evidence" / "fold-0-0"
    (old,) = folder.glob("*.safetensors")
    fit(request, found, labels=found.cohort.labels[::-1].copy())
    (new,) = folder.glob("*.safetensors")
    assert old != new
    assert len(list((folder / "embeddings" / "bags").glob("*.npy"))) == 12


def test_without_training_or_slides_the_entry_stays_as_it_is(tmp_path):
    request, found = open_tiles(tmp_path, "patch_training=null", patients=4)
    own, _ = fit(request, found)
    assert own is found.inputs[0]
    assert not (tmp_path / "out" / "encoders").exists()


def test_too_few_patients_of_a_class_are_no_training(opened, tmp_path):
    request, found = opened
    labels = np.full(12, -1)
    with pytest.raises(SkippedFoldError, match=r"\[0, 0\] training patients"):
        fit(request, found, labels=labels)
    labels[:] = 0
    with pytest.raises(SkippedFoldError, match="set patch_training=null"):
        fit(request, found, labels=labels)


def test_shuffled_classes_come_back_in_the_order_of_the_cohort(opened):
    _, found = opened
    cohort, (entry,) = found.cohort, found.inputs
    split = plan_folds(cohort, entry.preset.validation).splits[0]
    data = prepare_fold(cohort, entry.preset, entry.bags, split)
    cases = shuffled_cases(data.cases, 3).take(np.arange(11, 2, -1))
    labels = labels_of(cohort, cases)
    assert labels[:3].tolist() == [-1, -1, -1]
    assert labels[3:].tolist() == cases.labels[::-1].tolist()


def test_the_cost_of_an_encoder_is_counted_with_the_models_that_own_one(opened):
    _, found = opened
    (entry,) = found.inputs
    variants = fusion_variants(entry.preset)
    assert [v.kind for v in variants] == ["fusion", "control"]
    facts = {"seconds": 1.0, "epochs": 3}
    assert with_encoder(facts, variants[0], entry) == facts
    trained = replace(entry, training={"seconds": 5.0, "epochs": 2})
    baseline = replace(variants[0], kind="baseline")
    told = [with_encoder(facts, v, trained) for v in (*variants, baseline)]
    assert [t["seconds"] for t in told] == [6.0, 6.0, 1.0]
    assert {t["encoder"]["epochs"] for t in told} == {2}
    assert facts == {"seconds": 1.0, "epochs": 3}
