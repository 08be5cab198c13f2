"""Every preset comes with all that it has to beat."""

from builders.crossval import small_preset
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.training.preset_files import load_preset
from napari_mmsubtype.workflows.cohort import fit_preset
from napari_mmsubtype.workflows.model_list import fusion_variants, simple_models


def names(preset):
    return [variant.name for variant in fusion_variants(preset)]


def test_three_modalities_are_tried_alone_and_left_out_one_by_one():
    assert names(small_preset()) == [
        "evidence",
        "evidence/image_only",
        "evidence/rna_only",
        "evidence/clinical_only",
        "evidence/late",
        "evidence/without_image",
        "evidence/without_rna",
        "evidence/without_clinical",
        "evidence/random_labels",
    ]
    without = fusion_variants(small_preset())[6]
    assert without.kind == "ablation"
    assert without.modalities == (Modality.IMAGE, Modality.CLINICAL)
    assert without.fusion is None
    assert [v.shuffled for v in fusion_variants(small_preset())] == [False] * 8 + [True]


def test_two_modalities_need_no_ablation_and_one_no_baseline():
    brca = load_preset("brca-crossattention")
    assert names(brca) == [
        "brca-crossattention",
        "brca-crossattention/image_only",
        "brca-crossattention/rna_only",
        "brca-crossattention/late",
        "brca-crossattention/feature_concat",
        "brca-crossattention/random_labels",
    ]
    alone = fit_preset(load_preset("evidence"), [])
    assert names(alone) == ["evidence", "evidence/random_labels"]


def test_logistic_regressions_and_probes_are_those_that_can_be_asked():
    every = simple_models(["clinical", "image", "rna"], with_sites=True)
    assert [model.name for model in every] == [
        "logistic/image",
        "logistic/rna",
        "logistic/clinical",
        "logistic/omics",
        "probe/missingness",
        "probe/site",
    ]
    assert every[3].modalities == (Modality.RNA, Modality.CLINICAL)
    one = simple_models([Modality.RNA], with_sites=False)
    assert [model.name for model in one] == ["logistic/rna"]
