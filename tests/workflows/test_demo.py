import pytest

from napari_mmsubtype.workflows import demo
from napari_mmsubtype.workflows.demo import demo_job
from napari_mmsubtype.workflows.jobs import run_job


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "SLIDE_SIZE_PX", 1536)
        return run_job(demo_job(tmp_path_factory.mktemp("demo"), device="cpu"))


def test_leaves_tables_a_complete_store_and_a_picture(outcome):
    assert outcome.result.status == "complete"
    assert outcome.result.is_demo
    assert outcome.picture.stat().st_size > 20_000
    assert outcome.truth in outcome.result.prediction.classes


def test_every_modality_takes_part(outcome):
    prediction = outcome.result.prediction
    assert prediction.call.modalities == ("image", "rna", "methylation", "clinical")
    assert all(report.used for report in prediction.modalities)
    assert len(prediction.subsets) == 15
