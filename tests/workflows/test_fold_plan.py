"""A cohort is divided as its manifest or the preset says."""

import numpy as np
import pandas as pd

from builders.crossval import draw, open_cohort, small_preset, write
from napari_mmsubtype.workflows.fold_plan import describe_split, plan_folds


def cohort_of(folder, extra=None, n=40):
    return open_cohort(write(folder, draw(n), extra))


def settings(*changes):
    return small_preset(*changes).validation


def test_folds_of_patients_cover_everyone_once_per_repeat(tmp_path):
    cohort = cohort_of(tmp_path)
    plan = plan_folds(cohort, settings("validation.seeds=[0, 5]", "validation.folds=4"))
    assert (plan.scheme, plan.folds, plan.seeds) == ("patient", 4, (0, 5))
    for repeat in (0, 1):
        tests = [s.test for s in plan.splits if s.repeat == repeat]
        assert sorted(np.concatenate(tests)) == list(range(40))
    first, second = plan.splits[0], plan.splits[4]
    assert not np.array_equal(first.test, second.test)
    again = plan_folds(cohort, settings("validation.seeds=[0]", "validation.folds=4"))
    np.testing.assert_array_equal(again.splits[0].train, first.train)


def test_sites_are_kept_whole_where_that_is_asked(tmp_path):
    cohort = cohort_of(tmp_path)
    plan = plan_folds(cohort, settings("validation.group=site"))
    for split in plan.splits:
        learned = np.concatenate([split.train, split.validation])
        assert not set(cohort.sites[learned]) & set(cohort.sites[split.test])
    assert plan.scheme == "site"


def test_folds_of_the_manifest_count(tmp_path):
    numbers = [i % 3 for i in range(40)]
    cohort = cohort_of(tmp_path, pd.DataFrame({"fold": numbers}))
    plan = plan_folds(cohort, settings())
    assert (plan.scheme, plan.folds) == ("given", 3)
    np.testing.assert_array_equal(plan.splits[1].test, np.arange(1, 40, 3))


def test_a_fixed_test_set_is_judged_once_per_seed(tmp_path):
    parts = ["test" if i % 4 == 0 else "train" for i in range(40)]
    cohort = cohort_of(tmp_path, pd.DataFrame({"split": parts}))
    plan = plan_folds(cohort, settings("validation.seeds=[0, 1]"))
    assert [s.repeat for s in plan.splits] == [0, 1]
    for split in plan.splits:
        np.testing.assert_array_equal(split.test, np.arange(0, 40, 4))
    record = describe_split(plan.splits[0], cohort, 0)
    assert (record["fold"], record["test"]) == (0, 10)
    assert record["train"] + record["inner"] == 30
    assert sum(record["classes"].values()) == 10
    assert record["sites"] == ["S0"]


def test_patients_without_a_class_are_dealt_out_too(tmp_path):
    drawn = draw(40)
    options = write(tmp_path, drawn)
    frame = pd.read_csv(options["manifest"], keep_default_na=False)
    frame.loc[3, "label"] = ""
    frame.to_csv(options["manifest"], index=False)
    cohort = open_cohort(options)
    assert cohort.labels[3] == -1
    plan = plan_folds(cohort, settings())
    assert sum(3 in split.test for split in plan.splits) == 1
