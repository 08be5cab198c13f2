import json
from pathlib import Path

import pytest

from builders.pages import Page
from builders.stores import complete_store
from fakes.jobs import FakeJob
from napari_mmsubtype.cli.main import BAD_INPUT, CANCELLED, DONE, INTERNAL_ERROR, main
from napari_mmsubtype.errors import JobCancelled, NoTissueError
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.workflows import analyze


@pytest.fixture
def result(tmp_path):
    complete_store(tmp_path)
    return open_result(tmp_path / "slide.mmsubtype.zarr")


@pytest.fixture
def use_job(monkeypatch):
    def use(job):
        monkeypatch.setattr(analyze, "analyze_job", job)
        return job

    return use


def test_options_become_the_recipe(use_job, result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = use_job(FakeJob(result))
    words = "--bundle b --rna r.csv --methylation m.csv --clinical c.csv --patient P1"
    more = "--mpp 0.25 --stride 64 --device cpu --batch-size 8 --out results"
    more += " --regions r.geojson --exclude fold,pen --quality blur_ratio=0.05"
    more += " --min-tissue 0.2 --edge inside --quality pen_share=0.2"
    more += " --regions r.geojson --tissue t.tissue.zarr"
    more += " --set-coverage 0.8 --precision bfloat16"
    more += " --rna-unit tpm --methylation-samples-in rows"
    assert main(["analyze", "s.svs", *words.split(), *more.split()]) == DONE
    recipe = job.recipe
    assert recipe.patient == "P1"
    assert (recipe.mpp, recipe.stride_px, recipe.batch_size) == (0.25, 64, 8)
    assert (recipe.device, recipe.precision) == ("cpu", "bfloat16")
    assert recipe.set_coverage == 0.8
    assert (recipe.min_tissue, recipe.edge) == (0.2, "inside")
    assert recipe.exclude == ("pen", "fold")
    assert recipe.quality == {"blur_ratio": 0.05, "pen_share": 0.2}
    assert recipe.reading("rna") == {"unit": "tpm"}
    assert recipe.reading("methylation") == {"samples_in": "rows"}
    for name, value in [
        ("slide", "s.svs"),
        ("bundle", "b"),
        ("rna", "r.csv"),
        ("methylation", "m.csv"),
        ("clinical", "c.csv"),
        ("regions", "r.geojson"),
        ("tissue", "t.tissue.zarr"),
        ("out", "results"),
    ]:
        assert getattr(recipe, name) == str(tmp_path / value)


def test_defaults_leave_the_choice_to_the_program(
    use_job, result, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    job = use_job(FakeJob(result))
    assert main(["analyze", "synthetic:seed=1"]) == DONE
    recipe = job.recipe
    assert recipe.slide == "synthetic:seed=1"
    assert (recipe.bundle, recipe.device) == ("demo", "auto")
    assert (recipe.mpp, recipe.batch_size, recipe.rna) == (None, None, None)
    assert (recipe.exclude, recipe.quality, recipe.min_tissue) == (None, None, None)
    assert recipe.edge == "cover"
    assert Path(recipe.out) == tmp_path


def test_json_is_all_there_is_on_stdout(use_job, result, capsys):
    use_job(FakeJob(result))
    assert main(["analyze", "s.svs", "--json"]) == DONE
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert record["store"] == str(result.path)
    assert "12.0 patches/s" in captured.err


def test_text_tells_the_call(use_job, result, capsys):
    use_job(FakeJob(result))
    assert main(["analyze", "s.svs"]) == DONE
    assert result.prediction.label in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoTissueError("slide 'a' shows no tissue"), BAD_INPUT),
        (JobCancelled("stopped by the user"), CANCELLED),
        (RuntimeError("unforeseen"), INTERNAL_ERROR),
    ],
)
def test_errors_of_the_job_become_exit_codes(use_job, error, code, capsys):
    use_job(FakeJob(error=error))
    assert main(["analyze", "s.svs", "--json"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(error) in captured.err
    assert "Traceback" not in captured.err


def test_control_c_closes_the_job(use_job, monkeypatch, capsys):
    class Interrupted(FakeJob):
        def _run(self):
            for event in super()._run():
                yield event
                raise KeyboardInterrupt

    use_job(Interrupted())
    assert main(["analyze", "s.svs"]) == CANCELLED
    assert "resumes" in capsys.readouterr().err


def test_the_report_is_written_where_asked(use_job, result, tmp_path, capsys):
    use_job(FakeJob(result))
    out = tmp_path / "r.html"
    assert main(["analyze", "s.svs", "--json", "--html", str(out)]) == DONE
    assert json.loads(capsys.readouterr().out)["report"] == str(out)
    assert result.prediction.label in Page(out).text
    assert main(["analyze", "s.svs", "--html", str(tmp_path)]) == DONE
    beside = tmp_path / "slide.mmsubtype.html"
    assert f"report       {beside}" in capsys.readouterr().out
    assert beside.is_file()


def test_a_report_that_cannot_be_written_stops_before_the_work(
    use_job, result, tmp_path, capsys
):
    job = use_job(FakeJob(result))
    out = str(tmp_path / "no" / "r.html")
    assert main(["analyze", "s.svs", "--html", out]) == BAD_INPUT
    assert "create it first" in capsys.readouterr().err
    assert job.yielded == 0
