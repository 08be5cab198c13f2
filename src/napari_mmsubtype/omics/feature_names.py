"""Feature identifiers: symbols, Ensembl, Entrez, probes, and matching them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

_ENSEMBL = re.compile(r"(ENSG[0-9]{11})(?:\.[0-9]+)?(_PAR_Y)?", re.IGNORECASE)
_SYMBOL_ENSEMBL = re.compile(r"(.+?)[_|](ENSG[0-9]{11})(?:\.[0-9]+)?", re.IGNORECASE)
_ENSEMBL_SYMBOL = re.compile(r"(ENSG[0-9]{11})(?:\.[0-9]+)?[_|](.+)", re.IGNORECASE)
_SYMBOL_ENTREZ = re.compile(r"([^|]+)\|([0-9]+)")
_PROBE = re.compile(r"(?:cg[0-9]{8}(?:_[TB][CO][0-9]+)?|ch\.[0-9XY]+\..+|rs[0-9]{4,})")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)"
_DATE = re.compile(
    rf"[0-9]{{1,2}}[-. ]{_MONTH}(?:[-. ][0-9]{{2,4}})?|{_MONTH}[-. ][0-9]{{1,2}}"
    r"|(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}(?:[ T][0-9:.]+)?"
    r"|[0-9]{1,2}[/.][0-9]{1,2}[/.](?:[0-9]{2}|[0-9]{4})",
    re.IGNORECASE,
)

RENAMED = {"CDCA1": "NUF2", "KNTC2": "NDC80", "ORC6L": "ORC6"}
"""Old symbols of the PAM50 list, as published in 2009, and today's."""

# Genes that any expression table of tumours is likely to hold: they tell the axis of
# genes from the axis of samples. The PAM50 list (Parker et al., J Clin Oncol 2009) and
# often-mutated cancer genes.
KNOWN_SYMBOLS = frozenset(
    """
    ACTR3B ANLN BAG1 BCL2 BIRC5 BLVRA CCNB1 CCNE1 CDC20 CDC6 CDH3 CENPF CEP55 CXXC5
    EGFR ERBB2 ESR1 EXO1 FGFR4 FOXA1 FOXC1 GPR160 GRB7 KIF2C KRT14 KRT17 KRT5 MAPT
    MDM2 MELK MIA MKI67 MLPH MMP11 MYBL2 MYC NAT1 NDC80 NUF2 ORC6 PGR PHGDH PTTG1 RRM2
    SFRP1 SLC39A6 TMEM45B TYMS UBE2C UBE2T CDCA1 KNTC2 ORC6L
    TP53 PIK3CA GATA3 CDH1 PTEN KRAS NRAS HRAS BRAF RB1 CDKN2A CDKN1A BRCA1 BRCA2 ATM
    ATR CHEK2 MET ALK ROS1 RET NOTCH1 NFE2L2 KEAP1 STK11 SMAD4 APC CTNNB1 AKT1 AKT2 JAK2
    STAT3 VEGFA KDR FGFR1 FGFR2 FGFR3 PDGFRA KIT ABL1 SRC MTOR TSC1 TSC2 VHL IDH1 IDH2
    SOX2 TP63 NAPSA NKX2-1 SFTPC KRT7 KRT8 KRT18 KRT19 VIM CD3E CD4 CD8A CD19 CD274
    GAPDH ACTB TUBB B2M HLA-A TOP2A AURKA PLK1 CCND1 CDK4 CDK6 AR XBP1 TFF1 TFF3 AGR2
    AAK1 AATK ABCB1 ABCG2 AAMP AARSD1 AATF AANAT A1BG A2M TSPAN6 TNMD DPM1 SCYL3
    """.split()  # noqa: SIM905
)

_ORDER = (
    "symbol",
    "Ensembl",
    "Entrez",
    "a symbol that several columns have (the first was taken)",
    "symbol in other case",
    "alias",
)


@dataclass(frozen=True, slots=True)
class FeatureName:
    """What one label says about a feature.

    Attributes
    ----------
    symbol : str
        Gene symbol or probe, or the label as it stands; empty for a bare Ensembl or
        Entrez identifier.
    ensembl : str
        Without version, or empty.
    entrez : str
        Digits, or empty.
    """

    symbol: str = ""
    ensembl: str = ""
    entrez: str = ""


@dataclass(frozen=True, slots=True)
class FeatureMatch:
    """Where a model's features stand in a table.

    Attributes
    ----------
    columns : ndarray of int64, shape (feature,)
        Column of the table for each feature of the model, -1 where it has none.
    notes : tuple of str
        How many were found otherwise than by their symbol.
    """

    columns: NDArray[np.int64]
    notes: tuple[str, ...] = ()


def parse_feature(label: str) -> FeatureName:
    """Read a feature's label.

    Parameters
    ----------
    label : str
        ``ESR1``, ``ENSG00000091831.24``, ``2099``, ``ESR1|2099``,
        ``ESR1_ENSG00000091831`` or the reverse, ``ESR1_rnaseq`` or a methylation probe.

    Returns
    -------
    FeatureName
        The identifiers found.

    Examples
    --------
    >>> parse_feature("ENSG00000091831.24").ensembl
    'ENSG00000091831'
    """
    text = label.strip().removesuffix("_rnaseq")
    if ensembl := _ENSEMBL.fullmatch(text):
        return FeatureName(ensembl=ensembl[1].upper())
    if text.isdigit():
        return FeatureName(entrez=text)
    if both := _SYMBOL_ENSEMBL.fullmatch(text):
        return FeatureName(symbol=both[1], ensembl=both[2].upper())
    if both := _ENSEMBL_SYMBOL.fullmatch(text):
        return FeatureName(symbol=both[2], ensembl=both[1].upper())
    if pair := _SYMBOL_ENTREZ.fullmatch(text):
        symbol = "" if pair[1] == "?" else pair[1]
        return FeatureName(symbol=symbol, entrez=pair[2])
    return FeatureName(symbol=text)


def is_known_feature(label: str) -> bool:
    """Tell whether a label can only be a gene or a methylation probe.

    Parameters
    ----------
    label : str
        Row or column label.

    Returns
    -------
    bool
        True for Ensembl identifiers, ``SYMBOL|ENTREZ``, probes and well-known symbols.
    """
    text = label.strip().removesuffix("_rnaseq")
    return bool(
        text in KNOWN_SYMBOLS
        or _ENSEMBL.fullmatch(text)
        or _PROBE.fullmatch(text)
        or _SYMBOL_ENTREZ.fullmatch(text)
        or _SYMBOL_ENSEMBL.fullmatch(text)
        or _ENSEMBL_SYMBOL.fullmatch(text)
    )


def is_probe(label: str) -> bool:
    """Tell whether a label is a methylation probe.

    Parameters
    ----------
    label : str
        Feature label.

    Returns
    -------
    bool
        True for ``cg``, ``ch`` and ``rs`` probes.
    """
    return _PROBE.fullmatch(label.strip()) is not None


def is_par_y(label: str) -> bool:
    """Tell whether a label is a gene's second copy on chromosome Y.

    Parameters
    ----------
    label : str
        Feature label.

    Returns
    -------
    bool
        True for ``ENSG…_PAR_Y``, which repeats the gene on X and is empty in practice.
    """
    found = _ENSEMBL.fullmatch(label.strip())
    return found is not None and found[2] is not None


def mangled_by_spreadsheet(labels: Iterable[str]) -> list[str]:
    """List labels that a spreadsheet turned from genes into dates.

    Parameters
    ----------
    labels : iterable of str
        Feature labels.

    Returns
    -------
    list of str
        Such as ``1-Sep`` (once SEPT1) and ``2-Mar``.
    """
    return [label for label in labels if _DATE.fullmatch(label.strip())]


def describe_features(
    labels: Sequence[str], extra: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Tabulate what a table's feature labels say.

    Parameters
    ----------
    labels : sequence of str, length n
        Feature labels, without repeats.
    extra : DataFrame or None, default: None
        Identifier columns that stood beside the labels, n rows, any of ``symbol``,
        ``ensembl``, ``entrez``; they fill what the labels leave open.

    Returns
    -------
    DataFrame
        Index the labels; text columns ``symbol``, ``ensembl``, ``entrez``, empty where
        unknown.
    """
    import pandas as pd

    parsed = [parse_feature(label) for label in labels]
    table = pd.DataFrame(
        {
            "symbol": [name.symbol for name in parsed],
            "ensembl": [name.ensembl for name in parsed],
            "entrez": [name.entrez for name in parsed],
        },
        index=pd.Index(list(labels), dtype=object),
        dtype=object,
    )
    if extra is not None:
        for column in table.columns.intersection(extra.columns):
            given = extra[column].fillna("").astype(str).to_numpy()
            if column == "ensembl":
                given = np.array([_strip_version(text) for text in given], dtype=object)
            own = table[column].to_numpy()
            table[column] = np.where(own == "", given, own)
    return table


def match_features(table: pd.DataFrame, model: pd.DataFrame) -> FeatureMatch:
    """Find a model's features among the columns of a table.

    Each feature takes the column that fits by a symbol which no other column has, by
    Ensembl identifier, Entrez identifier, else the first one by a repeated symbol, by
    the symbol in other case, or by alias, in this order; a column serves one feature
    only, and the surer ways choose first.

    Parameters
    ----------
    table : DataFrame
        As `describe_features`: ``symbol``, ``ensembl``, ``entrez``.
    model : DataFrame
        Columns ``feature``, ``ensembl``, ``entrez`` and ``aliases`` (joined by ``|``).

    Returns
    -------
    FeatureMatch
        One column per feature of the model, -1 where none fits.
    """
    columns = np.full(len(model), -1, dtype=np.int64)
    taken: set[int] = set()
    counts = dict.fromkeys(_ORDER, 0)
    own = {str(name).casefold() for name in model["feature"]}
    for way, keys, lookup in _ways(table, model):
        for row, names in enumerate(keys):
            if columns[row] >= 0:
                continue
            for name in names:
                column = lookup.get(name)
                # An alias that is another feature's own name belongs to that one.
                stolen = way == "alias" and name in own
                if column is not None and column not in taken and not stolen:
                    columns[row] = column
                    taken.add(column)
                    counts[way] += 1
                    break
    notes = tuple(
        f"{count} features found by {way}"
        for way, count in counts.items()
        if count and way != "symbol"
    )
    return FeatureMatch(columns, notes)


def _ways(
    table: pd.DataFrame, model: pd.DataFrame
) -> Iterable[tuple[str, list[list[str]], dict[str, int]]]:
    """Pair each way of matching with the model's keys and the table's columns."""
    repeated = table["symbol"].duplicated(keep=False)
    symbols = _first(table["symbol"].mask(repeated, ""))
    folded = _first(table["symbol"].str.casefold())
    ensembl = _first(table["ensembl"])
    entrez = _first(table["entrez"])
    names = [str(name) for name in model["feature"]]
    yield "symbol", [[name] for name in names], symbols
    ids = [
        [_strip_version(str(given))] if given else [parse_feature(name).ensembl]
        for given, name in zip(model["ensembl"], names, strict=True)
    ]
    yield "Ensembl", ids, ensembl
    numbers = [
        [str(given)] if given else [parse_feature(name).entrez]
        for given, name in zip(model["entrez"], names, strict=True)
    ]
    yield "Entrez", numbers, entrez
    yield _ORDER[3], [[name] for name in names], _first(table["symbol"])
    yield "symbol in other case", [[name.casefold()] for name in names], folded
    aliases = [
        [alias.strip().casefold() for alias in str(given).split("|") if alias.strip()]
        + _renamed(name)
        for given, name in zip(model["aliases"], names, strict=True)
    ]
    yield "alias", aliases, folded


def _first(labels: Iterable[str]) -> dict[str, int]:
    """Map each label to its first position, leaving empty ones out."""
    lookup: dict[str, int] = {}
    for position, label in enumerate(labels):
        if label:
            lookup.setdefault(label, position)
    return lookup


def _renamed(name: str) -> list[str]:
    """List the old and new names of a gene that changed its symbol."""
    new = [RENAMED[name]] if name in RENAMED else []
    old = [before for before, after in RENAMED.items() if after == name]
    return [other.casefold() for other in new + old]


def _strip_version(identifier: str) -> str:
    """Drop an Ensembl identifier's version."""
    return identifier.strip().partition(".")[0].upper()
