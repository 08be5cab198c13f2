import numpy as np
import pytest

from builders.results import make_attributions, make_result
from builders.stores import begin_store
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.patch_calls import write_patch_calls
from napari_mmsubtype.results.patch_facts import gather_facts, ordinal
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_writer import StoreWriter


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (112, "112th"),
        (1022, "1,022nd"),
    ],
)
def test_places_are_written_as_people_do(number, text):
    assert ordinal(number) == text


@pytest.fixture
def result(tmp_path):
    """A result whose patches all differ, one unreadable and one left out."""
    made = make_result(
        tmp_path,
        attributions=make_attributions(),
        flags={4: 1},
        excluded=(4,),
    )
    used = made.patch_status == PatchStatus.DONE
    rng = np.random.default_rng(0)
    evidence = rng.normal(size=(len(made.grid), 2)).astype(np.float32)
    evidence[~used] = 0
    writer = StoreWriter(made.path)
    writer.write_fusion(made.patch_weights, evidence)
    share = rng.random(used.sum())
    calls = np.stack([share, 1 - share], axis=1).astype(np.float32)
    write_patch_calls(made.path, used, calls)
    return open_result(made.path)


def test_a_line_holds_call_evidence_rank_and_features(result):
    facts = gather_facts(result)
    used = result.patch_status == PatchStatus.DONE
    against = result.patch_evidence[:, 1] - result.patch_evidence[:, 0]
    place = 1 + int((against[used] > against[2]).sum())
    call = result.patch_calls[2]
    assert facts.words(2, 1) == (
        "patch alone, with the tables: "
        f"Luminal {call[0]:.1%}, Basal/HER2 {call[1]:.1%} · "
        f"evidence: Luminal {-against[2]:+.2g}, Basal/HER2 {against[2]:+.2g} · "
        f"{ordinal(place)} of {used.sum()} for Basal/HER2 · "
        "tables: GENE10 (RNA) -2, GENE9 (RNA) +1.8, GENE8 (RNA) -1.6"
    )
    assert f"{ordinal(used.sum() + 1 - place)} of {used.sum()} for Luminal" in (
        facts.words(2)
    ), "the class called, without another"


def test_ranks_are_a_permutation_of_the_patches_used(result):
    facts = gather_facts(result)
    used = result.patch_status == PatchStatus.DONE
    for column in facts.rank.T:
        assert sorted(column[used]) == list(range(1, facts.used + 1))
        assert (column[~used] == 0).all()


def test_of_equal_patches_no_place_is_told(tmp_path):
    facts = gather_facts(
        make_result(tmp_path, says_nothing=True, attributions=make_attributions())
    )
    assert not facts.rank.any()
    for patch in (0, 5):
        assert facts.words(patch) == (
            "evidence: Luminal +0, Basal/HER2 +0 · "
            "tables: GENE10 (RNA) +2, GENE9 (RNA) -1.8, GENE8 (RNA) +1.6"
        )


def test_patches_without_a_part_say_why(result):
    facts = gather_facts(result)
    assert facts.words(4) == "patch left out: pen"
    assert facts.words(len(facts.status) - 1) == "patch unreadable"
    assert facts.words(-1) == ""


def test_a_store_without_calls_and_tables_leaves_them_out(tmp_path):
    words = gather_facts(make_result(tmp_path)).words(0)
    assert words.startswith("evidence: Luminal ")
    assert words.endswith(" for Luminal")


@pytest.mark.parametrize("stride", [128, 64])
def test_a_place_belongs_to_the_patch_with_the_nearest_centre(tmp_path, stride):
    result = make_result(tmp_path, stride_px=stride)
    facts, grid = gather_facts(result), result.grid
    rng = np.random.default_rng(0)
    for y, x in rng.uniform((-40, -40), (560, 820), size=(400, 2)):
        low = grid.origin
        inside = ((low <= (y, x)) & ((y, x) < low + 128)).all(axis=1)
        found = facts.at(y, x)
        if not inside.any():
            assert found == -1
            continue
        away = np.hypot(*(low + 64 - (y, x)).T)
        assert inside[found]
        assert away[found] == pytest.approx(away[inside].min())


def test_of_many_classes_the_one_asked_for_and_the_strongest_are_named(result):
    facts = gather_facts(result)
    from dataclasses import replace

    names = tuple("ABCDEFG")
    evidence = np.array([[0.1, 0.7, -0.3, 0.6, 0.5, -0.9, 0.2]], np.float32)
    many = replace(
        facts,
        classes=names,
        called=2,
        calls=None,
        evidence=evidence,
        rank=np.ones_like(evidence, np.int32),
        features=(),
    )
    assert many.words(0).startswith("evidence: C -0.3, B +0.7, D +0.6, E +0.5 · 1st")


def test_an_interrupted_result_has_no_facts(tmp_path):
    with pytest.raises(StoreError, match="run the same request again"):
        gather_facts(open_result(begin_store(tmp_path).path))
