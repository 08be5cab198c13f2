from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from builders.bundles import GENES, tiny_bundle
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.inference import provisional
from napari_mmsubtype.inference.write_behind import WriteBehind
from napari_mmsubtype.plugin.layers import to_layers
from napari_mmsubtype.plugin.live_layers import WAITING, LiveUpdate, follow
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows.analyze import analyze_job

SLIDE = "synthetic:seed=5,size=1024"


def recipe(bundle, out):
    return AnalyzeRecipe(
        slide=SLIDE, bundle=str(bundle), out=str(out), device="cpu", batch_size=4
    )


def run(job, stop_after=None):
    """Drive a job; give its updates, and its result where it came to its end."""
    updates = []
    while True:
        try:
            event = next(job)
        except StopIteration as end:
            return updates, end.value
        if isinstance(event.partial, LiveUpdate):
            updates.append(event.partial)
        if stop_after is not None and len(updates) == stop_after:
            job.close()
            return updates, None


@pytest.mark.parametrize("fusion", ["evidence", "cross_attention"])
def test_live_layers_receive_every_patch_exactly_once(tmp_path, fusion):
    bundle = tiny_bundle(tmp_path / "tiny", fusion=fusion)
    updates, result = run(follow(analyze_job(recipe(bundle, tmp_path)), list))
    assert len(updates) > 2
    assert len({id(update.maps) for update in updates}) == 1
    maps = updates[-1].maps
    assert (maps.placed == 1).all()
    assert maps.placed.shape == (len(result.grid),)
    row, col = result.grid.cell.T
    assert (maps.labels[row, col] > 0).all()
    assert np.count_nonzero(maps.labels) == len(result.grid)


def test_a_model_that_judges_patches_together_is_shown_provisionally(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(provisional, "EVERY_S", 1e-9)
    monkeypatch.setattr(provisional, "SHARE", 1e9)
    bundle = tiny_bundle(tmp_path / "tiny", fusion="cross_attention")
    updates, result = run(follow(analyze_job(recipe(bundle, tmp_path)), list))
    first = updates[0]
    names = [kwargs["name"] for _, kwargs, _ in first.layers]
    assert names == [
        "evidence so far, provisional: Luminal",
        "evidence so far, provisional: Basal/HER2",
        "class so far, provisional: Luminal / Basal/HER2",
    ]
    maps = updates[-1].maps
    assert (maps.placed == 1).all(), "however often they were judged"
    row, col = result.grid.cell.T
    scores = result.patch_evidence / result.patch_weights[:, None]
    # All were judged with the last batch, in one group: as for the call.
    np.testing.assert_array_equal(maps.labels[row, col], 1 + scores.argmax(axis=1))
    np.testing.assert_allclose(
        maps.evidence[1][row, col], scores[:, 1] - scores[:, 0], rtol=1e-2, atol=1e-4
    )


def test_patches_that_wait_for_a_judgement_have_a_color_of_their_own(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny", fusion="cross_attention")
    updates, result = run(follow(analyze_job(recipe(bundle, tmp_path)), list))
    # The first look comes after seconds, which this analysis does not take.
    row, col = result.grid.cell.T
    assert (updates[-1].maps.labels[row, col] == 4).all()
    assert updates[-1].layers[-1][1]["colormap"][4] == WAITING
    assert not updates[-1].maps.evidence.any()
    assert updates[-1].limit == 1.0


def test_a_resumed_run_shows_what_was_done_before_once_too(tmp_path, monkeypatch):
    # One batch is told of before the next is stored, however slow the disk.
    monkeypatch.setattr(WriteBehind, "submit", lambda self, item: self._write([item]))
    bundle = tiny_bundle(tmp_path / "tiny")
    job = recipe(bundle, tmp_path)
    before, _ = run(follow(analyze_job(job), list), stop_after=1)
    assert before[-1].maps.placed.sum() == 4
    updates, _ = run(follow(analyze_job(job), list))
    assert updates[0].maps is not before[0].maps
    assert (updates[-1].maps.placed == 1).all()


def test_what_is_shown_is_the_evidence_of_each_patch(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny")
    updates, result = run(follow(analyze_job(recipe(bundle, tmp_path)), list))
    scores = result.cell_evidence.sum(axis=(2, 3))
    row, col = result.grid.cell.T
    maps = updates[-1].maps
    np.testing.assert_array_equal(maps.labels[row, col], 1 + scores.argmax(axis=1))
    np.testing.assert_allclose(
        maps.evidence[0][row, col], scores[:, 0] - scores[:, 1], rtol=1e-4, atol=1e-5
    )
    assert updates[-1].limit == maps.limit() > 0


def test_live_layers_lie_where_the_finished_ones_will(tmp_path):
    bundle = tiny_bundle(tmp_path / "tiny")
    updates, result = run(follow(analyze_job(recipe(bundle, tmp_path)), list))
    final = {kw["name"]: kw for _, kw, _ in to_layers(result, with_slide=False)}
    *evidence, (labels, kwargs, kind) = updates[0].layers
    assert kind == "labels"
    assert labels is updates[0].maps.labels
    there = final["class: Luminal / Basal/HER2"]
    for name in ("scale", "translate", "units", "colormap"):
        assert kwargs[name] == there[name]
    assert [kw["name"] for _, kw, _ in evidence] == [
        "evidence so far: Luminal",
        "evidence so far: Basal/HER2",
    ]


def test_an_unreadable_patch_is_grey_and_has_no_evidence(tmp_path):
    from builders.stores import begin_store
    from napari_mmsubtype.core.partial_patches import PartialPatches
    from napari_mmsubtype.plugin.live_layers import LiveMaps

    result = open_result(begin_store(tmp_path).path)
    maps = LiveMaps(result)
    status = np.array([1, 2], np.uint8)
    scores = np.array([[0.0, 4.0], [9.0, 1.0]], np.float32)
    maps.place(PartialPatches(result.path, np.array([0, 1]), status, scores))
    row, col = result.grid.cell[:2].T
    assert maps.labels[row, col].tolist() == [2, 3]
    assert maps.evidence[:, row, col].tolist() == [[-4, 0], [4, 0]]


def test_a_patch_that_says_as_much_for_every_class_is_not_colored(tmp_path):
    bundle = tiny_bundle(tmp_path / "t", fusion="rna_only", modalities=("rna",))
    table = tmp_path / "rna.csv"
    values = np.random.default_rng(0).uniform(0, 12, size=(3, len(GENES)))
    frame = pd.DataFrame(values, index=["P1", "P2", "P3"], columns=list(GENES))
    frame.to_csv(table, index_label="patient_id")
    asked = replace(recipe(bundle, tmp_path), rna=str(table), patient="P1")
    updates, result = run(follow(analyze_job(asked), list))
    maps, kwargs = updates[-1].maps, updates[-1].layers[-1][1]
    row, col = result.grid.cell.T
    labels = set(maps.labels[row, col].tolist())
    assert len(labels) == 1
    assert kwargs["colormap"][labels.pop()][3] == 0
    assert not maps.evidence.any()
    assert not result.class_map().any()


def test_closing_the_follower_closes_the_job_and_other_events_pass():
    closed = []

    def job():
        try:
            yield Progress("open", message="m")
            yield Progress("tissue")
        finally:
            closed.append(True)

    follower = follow(job(), list)
    assert next(follower) == Progress("open", message="m")
    follower.close()
    assert closed == [True]
