"""A request changes with everything that changes what a model says."""

from dataclasses import replace

from builders.crossval import draw, open_cohort, small_preset, write
from napari_mmsubtype.workflows.cohort_request import make_request
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.fold_request import fold_request, variant_request
from napari_mmsubtype.workflows.model_list import fusion_variants


def test_each_thing_that_counts_makes_another_request(tmp_path):
    options = write(tmp_path, draw(24))
    preset, cohort = small_preset(), open_cohort(options)
    split, other = plan_folds(cohort, preset.validation).splits
    request = make_request(options["manifest"], "evidence", out=tmp_path)
    reading = replace(request, reading={"rna": {"unit": "tpm"}})

    def asked(request=request, split=split, preset=preset, **changes):
        given = {"seed": 0, "embeddings": "x", **changes}
        return fold_request(request, cohort, split, preset, **given)

    assert asked() == asked()
    assert asked(request=replace(request, out=tmp_path / "b", device="cpu")) == asked()
    changed = small_preset("fusion_training.epochs=9")
    for found in (
        asked(seed=1),
        asked(embeddings="y"),
        asked(split=other),
        asked(preset=changed),
        asked(request=reading),
    ):
        assert found != asked()
    assert asked()["parts"]["test"] == [cohort.patients[row] for row in split.test]


def test_models_of_one_preset_have_requests_of_their_own():
    variants = fusion_variants(small_preset())
    found = [variant_request({"seed": 0}, v)["variant"] for v in variants]
    assert len({str(each) for each in found}) == len(variants)
