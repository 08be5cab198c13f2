"""What is done of a fold counts only for the request it was done for."""

import pandas as pd

from napari_mmsubtype.workflows.fold_store import FoldStore

REQUEST = {"seed": 0, "preset": {"rate": 0.1}}
FRAME = pd.DataFrame({"patient_id": ["a", "b"], "p0": [0.2, 0.8]})


def test_a_fold_comes_back_for_the_same_request_only(tmp_path):
    store = FoldStore(tmp_path)
    assert store.find("evidence", 0, 1, REQUEST) is None
    kept = store.keep("evidence", 0, 1, REQUEST, {"seconds": 2.0}, FRAME)
    assert store.find("evidence", 0, 1, REQUEST) == kept
    assert (kept["seconds"], kept["model"], kept["fold"]) == (2.0, "evidence", 1)
    pd.testing.assert_frame_equal(store.predictions("evidence", 0, 1), FRAME)
    assert store.find("evidence", 0, 1, {**REQUEST, "seed": 1}) is None
    assert store.read("evidence", 0, 1) == kept
    assert store.find("evidence", 0, 0, REQUEST) is None


def test_names_that_look_alike_to_a_file_system_stay_apart(tmp_path):
    store = FoldStore(tmp_path)
    for name in ("a/b", "a-b", "a:b"):
        store.keep(name, 0, 0, REQUEST, {"which": name}, FRAME)
    found = [store.find(n, 0, 0, REQUEST)["which"] for n in ("a/b", "a-b", "a:b")]
    assert found == ["a/b", "a-b", "a:b"]


def test_a_training_under_way_is_kept_by_request_until_its_fold_is(tmp_path):
    store = FoldStore(tmp_path)
    begun = store.checkpoint("a/b", 0, 1, REQUEST)
    other = store.checkpoint("a/b", 0, 1, {**REQUEST, "seed": 1})
    far = store.checkpoint("a/b", 0, 10, REQUEST)
    assert len({begun, other, far}) == 3
    for path in (begun, other, far):
        path.write_bytes(b"weights")
    store.keep("a/b", 0, 1, REQUEST, {}, FRAME)
    # What was begun for another request of this fold is of no more use.
    assert [path.exists() for path in (begun, other, far)] == [False, False, True]


def test_a_skipped_fold_has_no_predictions_and_is_done_all_the_same(tmp_path):
    store = FoldStore(tmp_path)
    store.keep("x", 0, 0, REQUEST, {"skipped": "too few"}, None)
    assert store.find("x", 0, 0, REQUEST)["skipped"] == "too few"


def test_facts_without_predictions_and_half_a_file_do_not_count(tmp_path):
    store = FoldStore(tmp_path)
    store.keep("x", 0, 0, REQUEST, {}, FRAME)
    (path,) = tmp_path.rglob("r0-f0.parquet")
    path.unlink()
    assert store.find("x", 0, 0, REQUEST) is None
    path.with_suffix(".json").write_text('{"request": ')
    assert store.read("x", 0, 0) is None
