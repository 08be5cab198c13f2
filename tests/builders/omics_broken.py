"""Broken tables as they come, each with the words that its owner should read."""

from __future__ import annotations

import gzip
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from builders.omics import beta_frame, tpm_frame
from builders.omics_gdc import star_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

TPM = tpm_frame(8, suffix="-01A").round(3)
TEXT = TPM.to_csv(index_label="patient_id")
LINES = TEXT.splitlines()


@dataclass(frozen=True)
class Broken:
    """A file that nobody should have to understand.

    ``words`` is a pattern of the one message: the error, or, where the table can still
    be used, a step kept with it (``survives``).
    """

    words: str
    make: Callable[[Path], Path]
    survives: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def text(content: str | bytes, name: str = "t.csv") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def frame(table: pd.DataFrame) -> Callable[[Path], Path]:
    return text(table.to_csv(index_label="patient_id"))


def cell(row: int, column: int, value: str) -> str:
    lines = [line.split(",") for line in LINES]
    lines[row][column] = value
    return "\n".join(",".join(line) for line in lines)


def late(value: str) -> bytes:
    """Damage below the lines that are looked at first."""
    body = LINES[1:] * 6
    return "\n".join([LINES[0], *body[:30], value, *body[30:]]).encode()


def mixed_units() -> pd.DataFrame:
    changed = TPM.copy()
    changed.iloc[2:4] = np.log2(changed.iloc[2:4] + 1)
    return changed


def many_logarithms() -> pd.DataFrame:
    wide = TPM.iloc[:, np.arange(240) % TPM.shape[1]]
    return np.log2(wide.set_axis([f"G{i}" for i in range(240)], axis=1) + 1)


def declared_zip(folder: Path) -> Path:
    """A zip file whose directory declares 10 GB."""
    path = folder / "t.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", TEXT)
    packed = bytearray(path.read_bytes())
    entry = packed.index(b"PK\x01\x02")
    # Sizes beyond 4 GiB stand in an extra field of the directory (zip64).
    extra = (1).to_bytes(2, "little") + (8).to_bytes(2, "little")
    extra += (10 * 10**9).to_bytes(8, "little")
    name = int.from_bytes(packed[entry + 28 : entry + 30], "little")
    packed[entry + 24 : entry + 28] = b"\xff" * 4
    packed[entry + 30 : entry + 32] = len(extra).to_bytes(2, "little")
    packed[entry + 46 + name : entry + 46 + name] = extra
    end = packed.index(b"PK\x05\x06")
    size = int.from_bytes(packed[end + 12 : end + 16], "little") + len(extra)
    packed[end + 12 : end + 16] = size.to_bytes(4, "little")
    path.write_bytes(packed)
    return path


def transposed_twice() -> str:
    counted = ",".join(["", *map(str, range(TPM.shape[1] + 1))])
    rows = [f"{number},{line}" for number, line in enumerate(LINES)]
    return "\n".join([counted, *rows])


def workbook(folder: Path) -> Path:
    path = folder / "t.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/worksheets/sheet1.xml", "")
    return path


def two_tables(folder: Path) -> Path:
    path = folder / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", TEXT)
        archive.writestr("b.csv", TEXT)
    return path


TABLES = {
    "ragged at the top": Broken(
        "ragged: line 3 has 30 cells, the header 31",
        text("\n".join([*LINES[:2], LINES[2].rpartition(",")[0], *LINES[3:]])),
    ),
    "ragged further down": Broken(
        "ragged: a row has 2 cells where the header has 31", text(late("P9,1.5"))
    ),
    "duplicated samples": Broken(
        "1 samples stand more than once with different values .TCGA-E2-A000-01A.; none "
        "of them can be chosen",
        frame(TPM.rename(index={"TCGA-E2-A001-01A": "TCGA-E2-A000-01A"})),
        survives=True,
    ),
    "duplicated genes": Broken(
        "1 features stood more than once .ESR1. and were averaged",
        frame(TPM.rename(columns={"PGR": "ESR1"})),
        survives=True,
    ),
    "mixed units": Broken(
        "different units: 2 of 8 .'TCGA-E2-A002-01A', .*logarithms",
        frame(mixed_units()),
    ),
    "genes as dates": Broken(
        "2 features are dates, not genes .1-Mar, 1-Sep.",
        frame(TPM.rename(columns={"VIM": "1-Sep", "MYC": "1-Mar"})),
        survives=True,
    ),
    "latin-1": Broken(
        "text is latin-1",
        text(TEXT.replace("TCGA-E2-A000-01A", "Müller").encode("latin-1")),
        survives=True,
    ),
    "byte-order mark": Broken(
        "byte-order mark skipped", text(TEXT.encode("utf-8-sig")), survives=True
    ),
    "utf-16": Broken("text is utf-16", text(TEXT.encode("utf-16")), survives=True),
    "decimal commas": Broken(
        "decimal commas read as points",
        text(TEXT.replace(",", ";").replace(".", ",")),
        survives=True,
    ),
    "thousands": Broken(
        "without thousands separators",
        text("patient_id;ESR1;PGR\nP1;12,345;1,250\nP2;2,345;7,250\n"),
    ),
    "empty": Broken("is empty .0 bytes.", text("")),
    "blank": Broken("nothing but blank or comment lines", text("\n\n# nothing\n")),
    "only a header": Broken("a header and no row below", text(LINES[0] + "\n")),
    "no header": Broken(
        "no header: its first line holds numbers", text("\n".join(LINES[1:]))
    ),
    "only identifiers": Broken(
        "one column", text("patient_id\n" + "\n".join(TPM.index))
    ),
    "identifiers and words only": Broken(
        "no column of numbers",
        text("patient_id,ESR1\nP1,high\nP2,low\n"),
        options={"modality": "rna"},
    ),
    "transposed twice": Broken("header that only counts", text(transposed_twice())),
    "samples on both sides": Broken(
        "both rows .* and columns .* are TCGA barcodes",
        frame(TPM.iloc[:, :8].set_axis(TPM.index, axis=1)),
    ),
    "formulas": Broken(
        "'=AVERAGE.B2:B9.' in row 3: a spreadsheet's formula",
        text(cell(2, 4, "=AVERAGE(B2:B9)")),
    ),
    "errors of formulas": Broken(
        "'#REF!' in column 'PGR'", text(late(cell(1, 2, "#REF!").splitlines()[1]))
    ),
    "words among numbers": Broken(
        "column 'GRB7' mixes numbers with words such as 'n.d.'",
        text(cell(3, 4, "n.d.")),
    ),
    "zip of 10 GB": Broken("declares 9.3 GiB unpacked", declared_zip),
    "zip of two tables": Broken("holds 2 files .'a.csv', 'b.csv'.", two_tables),
    "truncated gz": Broken(
        "truncated, fetch it again",
        text(gzip.compress(TEXT.encode() * 9)[:-60], "t.gz"),
    ),
    "web page": Broken(
        "web page",
        text("<!DOCTYPE html>\n<html><body>403 Forbidden</body></html>", "t.tsv"),
    ),
    "JSON": Broken("is JSON", text('{"data": {"hits": []}}\n', "t.tsv")),
    "manifest": Broken(
        "download manifest", text("id\tfilename\tmd5\tsize\tstate\nx\ty\tz\t1\tok\n")
    ),
    "mixed separators": Broken(
        "mixes separators: line 1 is comma-separated, line 4 tab-separated",
        text("\n".join([*LINES[:3], LINES[3].replace(",", "\t"), *LINES[4:]])),
    ),
    "unclosed quotation mark": Broken(
        "a quotation mark in line 3 is not closed", text(cell(2, 0, '"P1'))
    ),
    "title above the table": Broken(
        "line 1 .'Expression of our cohort'. has one cell only",
        text("Expression of our cohort\n" + TEXT),
    ),
    "NUL bytes": Broken(
        "NUL bytes among its text .the first in line 2.",
        text(TEXT.replace("TCGA-E2-A000-01A", "TCGA\0E2").encode()),
    ),
    "binary": Broken("binary file", text(bytes(range(256)) * 9)),
    "workbook": Broken("Excel workbook.*CSV UTF-8", workbook),
    "old workbook": Broken(
        "Excel workbook.*CSV UTF-8",
        text(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 9, "t.xls"),
    ),
    "R objects": Broken("write.csv", text(gzip.compress(b"RDX3\nX\n\0\0\0"), "t.rds")),
    "sample without values": Broken(
        "1 samples have no value at all .TCGA-E2-A003-01A.",
        frame(TPM.where(TPM.index.to_series() != "TCGA-E2-A003-01A", axis=0)),
        survives=True,
    ),
    "every value missing": Broken(
        "every value of the rna table is missing",
        frame(TPM * np.nan),
        options={"modality": "rna"},
    ),
    "a negative count": Broken(
        "1 negative counts values .down to -4. set to 0",
        text(cell(2, 4, "-4").replace(".", "")),
        survives=True,
    ),
    "negative counts": Broken(
        "8 negative counts",
        frame((TPM * 1000).round().astype(int).assign(ESR1=range(-8, 0))),
        options={"modality": "rna"},
    ),
    "codes for missing values": Broken(
        "1 values are -999, .* may stand for a missing value; write NA",
        text(cell(2, 4, "-999").replace(".", "")),
    ),
    "mutations": Broken(
        "is a list of mutations",
        text("Hugo_Symbol\tStart_Position\tTumor_Sample_Barcode\nTP53\t7\tP1\n"),
    ),
    "percent signs": Broken("'4.1%' in row 3", text(cell(2, 4, "4.1%"))),
    "nothing measured": Broken(
        "every value of the rna table is 0", frame(TPM * 0), options={"modality": "rna"}
    ),
    "too little to tell": Broken(
        "cannot tell RNA from methylation: only 1 different value",
        text("gene,1-Sep\nESR1,0.4\n"),
    ),
    "percent of methylation": Broken(
        "percentages of methylation; divide them by 100",
        frame((beta_frame(6) * 100).round(2)),
        options={"modality": "methylation"},
    ),
    "methylation as expression": Broken(
        "look like methylation", frame(beta_frame(6)), options={"modality": "rna"}
    ),
    "logarithms declared as TPM": Broken(
        "logarithms already",
        frame(many_logarithms()),
        options={"unit": "tpm", "modality": "rna", "samples_in": "rows"},
    ),
    "STAR file cut in a line": Broken(
        "ragged: a row has .* cells where the header has 9",
        text(star_text(TPM.iloc[0])[:-20].rpartition("\t")[0], "t.tsv"),
    ),
}
