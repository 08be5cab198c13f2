from napari_mmsubtype.core.records import ModalityReport
from napari_mmsubtype.results.coverage_facts import coverage_facts

NOTES = (
    "comma-separated, rna (64 known genes), samples in rows (barcodes)",
    "unit z-score (68% negative)",
)


def test_findings_come_with_what_spoke_for_them():
    facts = coverage_facts(
        ModalityReport(
            "rna",
            True,
            sample="TCGA-E2-A14V-01A",
            unit="z-score",
            notes=NOTES,
            source="/data/rna.csv.gz",
        ),
        "elsewhere.csv",
        least=0.3,
    )
    assert facts.evidence == (
        ("modality", "RNA", "64 known genes"),
        ("unit", "z-score", "68% negative"),
        ("samples in", "rows", "barcodes"),
    )
    assert facts.sample == "TCGA-E2-A14V-01A, primary solid tumour"
    assert (facts.file, facts.file_name) == ("/data/rna.csv.gz", "rna.csv.gz")
    assert (facts.name, facts.title, facts.least) == ("RNA", "RNA", 0.3)


def test_records_of_older_versions_take_the_file_from_the_request():
    facts = coverage_facts(ModalityReport("clinical", True, unit="raw"), "c.tsv")
    assert facts.file == "c.tsv"
    assert facts.title == "Clinical"
    assert facts.sample == ""
    # Clinical tables have no unit worth telling.
    assert facts.evidence == (("modality", "clinical", ""),)
