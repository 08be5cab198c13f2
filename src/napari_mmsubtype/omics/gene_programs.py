"""Genes that rise and fall together in breast cancer, and how: for synthetic data."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import pandas as pd


def _symbols(text: str) -> tuple[str, ...]:
    """Split a list of symbols."""
    return tuple(text.split())


# Parker et al. 2009, in today's symbols (NUF2 was CDCA1, NDC80 KNTC2, ORC6 ORC6L).
PAM50 = _symbols(
    """
    ACTR3B ANLN BAG1 BCL2 BIRC5 BLVRA CCNB1 CCNE1 CDC20 CDC6 CDH3 CENPF CEP55 CXXC5 EGFR
    ERBB2 ESR1 EXO1 FGFR4 FOXA1 FOXC1 GPR160 GRB7 KIF2C KRT14 KRT17 KRT5 MAPT MDM2 MELK
    MIA MKI67 MLPH MMP11 MYBL2 MYC NAT1 NDC80 NUF2 ORC6 PGR PHGDH PTTG1 RRM2 SFRP1
    SLC39A6 TMEM45B TYMS UBE2C UBE2T
    """
)
"""The fifty genes of the intrinsic subtypes."""

LUMINAL_GENES = _symbols(
    """
    ESR1 PGR FOXA1 GATA3 NAT1 MAPT SLC39A6 BCL2 CXXC5 MLPH GPR160 BAG1 BLVRA MDM2
    ERBB3 ERBB4 IGF1R RET STC2 IL6ST MYB AFF3 RARA SEMA3B BMPR1B MUC1 MAST4 STK32B TGFB3
    WNK4 MAP3K1 COX6C XBP1 TFF1 TFF3 AGR2 CA12 AR SCUBE2 KRT8 KRT18 GREB1
    """
)
BASAL_GENES = _symbols(
    """
    KRT5 KRT14 KRT17 EGFR FOXC1 CDH3 MIA SFRP1 ACTR3B PHGDH MYC
    KIT BCL11A CDK6 CDKN2A MET LYN PROM1 MSN NFIB SRPK1 PIM1 PTK7 FZD9 HMGA1 EPHA2 CD109
    CDCP1 EPHB3 JAG1 IRAK1 ITGA6 ITGB4 CCL20 CXCL1 CD44
    SOX10 EN1 CRYAB ROPN1 GABRP VGLL1 KRT6B KRT16
    """
)
HER2_GENES = _symbols("ERBB2 GRB7 STARD3 PGAP3 MIEN1 CDK12")
HER2_NEIGHBORS = _symbols("FGFR4 TMEM45B LASP1 MLLT6 CEACAM6")
PROLIFERATION_GENES = _symbols(
    """
    ANLN BIRC5 CCNB1 CCNE1 CDC20 CDC6 CENPF CEP55 EXO1 KIF2C MELK MKI67 MYBL2 NDC80 NUF2
    ORC6 PTTG1 RRM2 TYMS UBE2C UBE2T
    AURKA AURKB BUB1 BUB1B CDK1 CDK2 CHEK1 CHEK2 PLK1 PLK4 TTK NEK2 PBK BLM BRCA1 BRCA2
    BRIP1 FANCA FANCD2 FANCG PALB2 RECQL4 STIL HMMR CDC7 PKMYT1 MSH2 MSH6 VRK1 CIT MASTL
    TFRC TOP2A PCNA FOXM1 MCM2
    """
)
T_CELL_GENES = _symbols(
    """
    CD2 CD3D CD3E CD3G CD5 CD6 CD7 CD8A CD8B CD4 CD27 CD28 CD247 CD48 CD52 CD53 CD69
    CD96 ITK LCK ZAP70 PRF1 CCL5 CXCL9 CXCL10 CXCL11 CXCL13 IFNG PDCD1 CTLA4 LAG3 ICOS
    KLRB1 KLRD1 KLRK1 SLAMF7 IL2RB IL2RG IL7R CCR7 CCR5 PTPRC GZMB NKG7
    """
)
B_CELL_GENES = _symbols("CD19 MS4A1 CD79A CD79B CD22 CD37 TNFRSF17 POU2AF1 CD38 IRF4")
MYELOID_GENES = _symbols(
    """
    CD14 CD68 CD163 CSF1R CD86 FCGR3A MRC1 TLR2 TLR4 ITGAM ITGAX C3 CCL2 HCK SYK CD74
    """
)
STROMA_GENES = _symbols(
    """
    MMP11 COL1A1 PDGFRA PDGFRB THY1 CDH11 TGFB1 INHBA LTBP2 ELN TNC CXCL12 DDR2 OGN OMD
    GREM1 MRC2 PDGFRL IGF1 CD248 COL1A2 COL3A1 FN1 SPARC ACTA2 DCN
    """
)
VESSEL_GENES = _symbols("ENG KDR FLT1 FLT4 TEK TIE1 CDH5 CD34 MCAM CD93")
FAT_GENES = _symbols("ADIPOQ LEP PPARG CD36 FABP4 PLIN1")
HOUSEKEEPING_GENES = _symbols(
    """
    HSP90AB1 HNRNPA2B1 RPL22 NONO CTNNB1 MAPK1 AKT1 RAF1 EIF4A2 NACA SDHB SDHC CLTC RPN1
    TPM3 ACTB GAPDH TBP GUSB PPIA
    """
)

# Certain ones only; the rest match by symbol. Ensembl and Entrez gene.
_IDENTIFIERS = {
    "ACTB": ("ENSG00000075624", "60"),
    "AURKA": ("ENSG00000087586", "6790"),
    "BCL2": ("ENSG00000171791", "596"),
    "BRCA1": ("ENSG00000012048", "672"),
    "BRCA2": ("ENSG00000139618", "675"),
    "CCNB1": ("ENSG00000134057", "891"),
    "CD3E": ("ENSG00000198851", "916"),
    "CD4": ("ENSG00000010610", "920"),
    "CD8A": ("ENSG00000153563", "925"),
    "CDK1": ("ENSG00000170312", "983"),
    "COL1A1": ("ENSG00000108821", "1277"),
    "EGFR": ("ENSG00000146648", "1956"),
    "ERBB2": ("ENSG00000141736", "2064"),
    "ESR1": ("ENSG00000091831", "2099"),
    "FOXA1": ("ENSG00000129514", "3169"),
    "FOXC1": ("ENSG00000054598", "2296"),
    "GAPDH": ("ENSG00000111640", "2597"),
    "GATA3": ("ENSG00000107485", "2625"),
    "GRB7": ("ENSG00000141738", "2886"),
    "KIT": ("ENSG00000157404", "3815"),
    "KRT14": ("ENSG00000186847", "3861"),
    "KRT17": ("ENSG00000128422", "3872"),
    "KRT5": ("ENSG00000186081", "3852"),
    "MKI67": ("ENSG00000148773", "4288"),
    "MYC": ("ENSG00000136997", "4609"),
    "PGR": ("ENSG00000082175", "5241"),
    "PTPRC": ("ENSG00000081237", "5788"),
}
_ALIASES = {"NUF2": "CDCA1", "NDC80": "KNTC2", "ORC6": "ORC6L"}


@dataclass(frozen=True, slots=True)
class Program:
    """Genes with a common level and common reasons to change.

    Attributes
    ----------
    name : str
        For example ``"proliferation"``.
    genes : tuple of str
        Symbols.
    level : float
        Mean expression, in log2(tpm + 1).
    subtype, her2, proliferation, immune, stroma : float
        Change in log2 units per standard deviation of that cause; ``subtype`` is
        positive where Basal/HER2 is higher, ``her2`` is the change on amplification.
    """

    name: str
    genes: tuple[str, ...]
    level: float
    subtype: float = 0.0
    her2: float = 0.0
    proliferation: float = 0.0
    immune: float = 0.0
    stroma: float = 0.0


PROGRAMS = (
    Program("luminal", LUMINAL_GENES, 5.6, subtype=-1.0, her2=-0.2),
    # HER2-enriched tumours lack the luminal programme without gaining the basal one.
    Program("basal", BASAL_GENES, 4.4, subtype=0.9, her2=-0.8),
    Program("her2", HER2_GENES, 6.2, subtype=0.1, her2=2.6),
    Program("her2 neighbors", HER2_NEIGHBORS, 4.6, subtype=0.1, her2=1.2),
    Program("proliferation", PROLIFERATION_GENES, 4.2, subtype=0.25, proliferation=0.8),
    Program("t cells", T_CELL_GENES, 3.2, subtype=0.1, immune=0.9),
    Program("b cells", B_CELL_GENES, 2.6, immune=1.0),
    Program("myeloid", MYELOID_GENES, 4.8, subtype=0.1, immune=0.5),
    Program("stroma", STROMA_GENES, 6.8, subtype=-0.1, stroma=0.8),
    Program("vessels", VESSEL_GENES, 4.6, stroma=0.5),
    Program("fat", FAT_GENES, 3.0, stroma=0.6),
    Program("housekeeping", HOUSEKEEPING_GENES, 8.6),
)
"""Every gene of the synthetic cohort, each in one program."""

# Promoters that are methylated where their gene is silent.
_SILENT_IN_BASAL = _symbols(
    """
    ESR1 PGR FOXA1 GATA3 BCL2 MAPT MLPH MUC1 TFF1 AGR2 CA12 AR RARA STC2 XBP1
    """
)
_SILENT_IN_LUMINAL = _symbols(
    """
    KRT5 KRT14 KRT17 EGFR CDH3 SFRP1 MIA KIT FOXC1 BCL11A ITGB4 EPHA2 CD44 PROM1
    """
)
# The hypermethylation that comes with luminal B rather than with basal-like tumours.
_HYPERMETHYLATED = _symbols(
    """
    RASSF1 GSTP1 APC CDH13 RARB HIC1 TWIST1 CCND2 SFRP2 WIF1 RUNX3 DAPK1 PTGS2 HOXA9
    """
)
_IMMUNE = _symbols("CD3D CD3E CD8A CD79A LCK ZAP70 PTPRC IL2RG")
_ALWAYS_OPEN = _symbols("ACTB GAPDH TBP PPIA MLH1 MGMT RB1 PTEN")


@dataclass(frozen=True, slots=True)
class PromoterGroup:
    """Promoters that are methylated for the same reason.

    Attributes
    ----------
    genes : tuple of str
        Symbols of the genes.
    level : float
        Typical β-value, 0 to 1.
    subtype, immune : float
        Change of the logit of β per standard deviation of that cause.
    """

    genes: tuple[str, ...]
    level: float
    subtype: float = 0.0
    immune: float = 0.0


PROMOTERS = (
    PromoterGroup(_SILENT_IN_BASAL, 0.30, subtype=0.7),
    PromoterGroup(_SILENT_IN_LUMINAL, 0.38, subtype=-0.6),
    PromoterGroup(_HYPERMETHYLATED, 0.35, subtype=-0.35),
    PromoterGroup(("BRCA1",), 0.10, subtype=0.5),
    PromoterGroup(_IMMUNE, 0.62, immune=-0.5),
    PromoterGroup(_ALWAYS_OPEN, 0.05),
)
"""Every promoter of the synthetic cohort, each in one group."""


def rna_genes() -> tuple[str, ...]:
    """List the genes of the synthetic RNA table.

    Returns
    -------
    tuple of str
        Symbols, in the order of `PROGRAMS`.
    """
    return tuple(gene for program in PROGRAMS for gene in program.genes)


def promoter_genes() -> tuple[str, ...]:
    """List the genes of the synthetic methylation table.

    Returns
    -------
    tuple of str
        Symbols, in the order of `PROMOTERS`.
    """
    return tuple(gene for group in PROMOTERS for gene in group.genes)


def gene_identifiers(genes: tuple[str, ...]) -> pd.DataFrame:
    """Tabulate other names of genes.

    Parameters
    ----------
    genes : tuple of str
        Symbols.

    Returns
    -------
    DataFrame
        Columns ``feature``, ``ensembl``, ``entrez`` and ``aliases`` (joined by ``|``),
        all text and empty where not certain.
    """
    rows = [
        (gene, *_IDENTIFIERS.get(gene, ("", "")), _ALIASES.get(gene, ""))
        for gene in genes
    ]
    return pd.DataFrame(rows, columns=["feature", "ensembl", "entrez", "aliases"])


def gene_trait(gene: str, trait: str) -> float:
    """Give a gene a fixed individuality.

    Parameters
    ----------
    gene : str
        Symbol.
    trait : str
        What is asked, for example ``"level"``.

    Returns
    -------
    float
        From -1 to 1; the same on every machine and for every cohort.
    """
    return zlib.crc32(f"{trait}:{gene}".encode()) / 0xFFFFFFFF * 2 - 1
