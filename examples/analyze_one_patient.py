"""Analyse one patient from Python: slide and tables in; call, shares and store out.

Usage: ``python examples/analyze_one_patient.py [--out FOLDER] [--bundle BUNDLE]``

The patient is synthetic; put your own paths in place of those of the tables and slide.
"""

import argparse
from pathlib import Path

from napari_mmsubtype import analyze, open_result
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort


def main() -> None:
    """Make a patient, analyse it, read the store again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("example_out"))
    parser.add_argument("--bundle", default="demo")
    arguments = parser.parse_args()

    cohort = synthetic_cohort(4, seed=7, slide_size=2048)
    tables = write_cohort(cohort, arguments.out / "synthetic_tables")
    patient = cohort.patients.iloc[0]

    result = analyze(
        str(patient["slide"]),
        arguments.bundle,
        patient=str(patient["patient_id"]),
        rna=tables["rna"],
        methylation=tables["methylation"],
        clinical=tables["clinical"],
        out=arguments.out,
        on_progress=lambda event: print(event.stage, event.message),
    )

    prediction = open_result(result.path).prediction
    assert prediction is not None
    print(f"{patient['patient_id']}: {prediction.label}")
    for made_from, call in prediction.subsets.items():
        odds = dict(zip(prediction.classes, call.probabilities, strict=True))
        print(f"  from {made_from}: {odds}")
    for modality, share in prediction.shapley.items():
        print(f"  share of {modality} in the logits: {share}")
    for report in prediction.modalities:
        print(f"  {report.modality}: {report.matched} of {report.expected} features")
    print(f"store: {result.path}")


if __name__ == "__main__":
    main()
