import json

from builders.crossvals import write_crossval
from builders.pages import Page
from builders.results import make_result
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.results.html_report import report_html


def test_the_report_lies_beside_the_store(tmp_path, capsys):
    result = make_result(tmp_path)
    assert main(["report", str(result.path)]) == DONE
    path = tmp_path / "missing.mmsubtype.html"
    assert capsys.readouterr().out == f"{path}\n"
    written = Page(path).text.partition("Written by")[0]
    assert written == Page(report_html(result)).text.partition("Written by")[0]


def test_the_report_goes_where_it_is_asked_to(tmp_path, capsys):
    result = make_result(tmp_path)
    out = tmp_path / "r.html"
    assert main(["report", str(result.path), "--out", str(out), "--json"]) == DONE
    assert json.loads(capsys.readouterr().out) == {"report": str(out)}
    assert "Luminal" in Page(out).text


def test_folder_of_a_cross_validation_has_a_report_too(tmp_path, capsys):
    folder = write_crossval(tmp_path / "cv", patients=30)
    assert main(["report", str(folder)]) == DONE
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    assert "Cross-validation: evidence" in Page(folder / "report.html").text
    (folder / "results.json").write_text("{}")
    assert main(["report", str(folder)]) == BAD_INPUT
    assert "expected 'mmsubtype-crossval'" in capsys.readouterr().err


def test_requests_that_cannot_be_met_are_one_line(tmp_path, capsys):
    store = str(make_result(tmp_path).path)
    for words, says in [
        ([str(tmp_path / "no")], "no result at"),
        ([str(tmp_path)], "not a readable result store"),
        ([store, "--out", "report.pdf"], "ends in .html"),
    ]:
        assert main(["report", *words]) == BAD_INPUT
        error = capsys.readouterr().err
        assert says in error
        assert error.count("\n") == 1
