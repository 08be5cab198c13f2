"""The command shows what each model is worth, and every alarm."""

import json
from pathlib import Path

from builders.crossval import SETTINGS, draw, quick_scoring, use_bags, write
from napari_mmsubtype.cli.crossval import interval, results_table
from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.workflows import crossval as crossval_module
from napari_mmsubtype.workflows.model_list import fusion_variants


def words(options, out):
    changes = [word for change in SETTINGS for word in ("--set", change)]
    return [
        "crossval",
        str(options["manifest"]),
        "--preset",
        "evidence",
        "--rna",
        str(options["rna"]),
        "--rna-unit",
        "z-score",
        "--out",
        str(out),
        *changes,
    ]


def test_a_table_or_json_is_printed(tmp_path, monkeypatch, capsys):
    options = write(tmp_path, draw(32))
    use_bags(monkeypatch, tmp_path)
    quick_scoring(monkeypatch)
    monkeypatch.setattr(
        crossval_module, "fusion_variants", lambda preset: fusion_variants(preset)[:1]
    )
    assert main(words(options, tmp_path / "out")) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "patients", "balanced", "accuracy", "ROC-AUC"]
    assert lines[1].startswith("evidence ")
    assert [line.split()[0] for line in lines[-3:]] == [
        "results",
        "predictions",
        "report",
    ]
    assert all(Path(line.split()[1]).is_file() for line in lines[-3:])
    assert main([*words(options, tmp_path / "out"), "--json"]) == DONE
    record = json.loads(capsys.readouterr().out)
    assert record["patients"] == 32
    assert set(record["models"]["logistic/rna"]) == {
        "patients",
        "skipped",
        "balanced_accuracy",
        "roc_auc",
    }


def test_faults_of_a_manifest_are_one_message(tmp_path, capsys):
    options = write(tmp_path, draw(12))
    text = options["manifest"].read_text().replace("Luminal", "Luminl")
    options["manifest"].write_text(text)
    assert main(words(options, tmp_path / "out")) == BAD_INPUT
    error = capsys.readouterr().err
    assert "label 'Luminl' is no class of the preset" in error
    assert not (tmp_path / "out").exists()


def test_alarms_and_skipped_models_are_told():
    metric = {"value": 0.9, "low": 0.85, "high": 0.95, "level": 0.95}
    content = {
        "models": {
            "evidence": {
                "skipped": None,
                "patients": 9,
                "metrics": {"balanced_accuracy": metric, "roc_auc": None},
            },
            "evidence/image_only": {"skipped": "too few", "patients": 0, "metrics": {}},
        },
        "alarms": [
            {"name": "site", "raised": True, "message": "The site tells the class"},
            {"name": "overlap", "raised": False, "message": "none"},
        ],
    }
    assert results_table(content).splitlines() == [
        "model     patients  balanced accuracy     ROC-AUC",
        "evidence  9         0.900 [0.850, 0.950]  -",
        "",
        "evidence/image_only was not trained: too few",
        "",
        "ALARM site: The site tells the class",
    ]
    content["alarms"][0]["raised"] = False
    assert results_table(content).splitlines()[-1] == "no alarm was raised"


def test_an_absent_metric_is_a_dash():
    assert interval(None) == "-"
